"""One module a verb; heavy imports happen inside run()."""
