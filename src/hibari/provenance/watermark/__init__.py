"""An invisible, blind, keyed watermark: every frame carries the 48-bit generation id, and a search finds it again.

`keys` who may mark and look · `code` the id as bits that heal · `tile` the pattern in the frequency plane ·
`residual` what both sides see of a frame · `marker` writing · `spectrum`, `geometry`, `search` reading ·
`claims` when a reading is a finding. Nothing is trained. Not here: where ids come from, and what a person is told.

The marker and the search load torch; `keys` and `claims` do not.
"""
