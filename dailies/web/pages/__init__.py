"""The data of the pages for people: home, search, and one page per kind of record."""
