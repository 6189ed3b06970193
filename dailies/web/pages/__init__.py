"""What the pages for people hold: home, search and the page of each kind of thing."""
