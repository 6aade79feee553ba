"""The server for agents: the functions of the command line as tools of the Model Context Protocol."""
