"""How a service's database is reached and asked."""
