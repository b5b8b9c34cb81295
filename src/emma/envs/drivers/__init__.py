"""Files that the packages' own interpreters run. They import the package, numpy and nothing of emma's."""
