"""Flow matching as pure functions: path, times, solvers, guidance. Models come in as callables, never as imports."""
