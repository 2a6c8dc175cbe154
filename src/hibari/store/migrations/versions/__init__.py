"""One file for each step. A step that was released is never edited: a change is a new step."""
