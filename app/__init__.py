"""The service: HTTP in `api`, rules in `service`, Redis and stores in `adapters`, chosen in `wiring`."""
