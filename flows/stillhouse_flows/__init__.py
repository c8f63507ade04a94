"""When and where the steps of Stillhouse run: flows, the server, the command line."""
