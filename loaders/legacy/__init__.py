"""How the rows of an earlier system's file get into today's tables, one module per database."""
