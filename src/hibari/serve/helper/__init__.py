"""The helper: child processes for what needs torch beside generation. `client` is the API's side of them."""
