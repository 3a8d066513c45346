"""The only package that knows stream, chat and commerce: configuration, server, routes, pages and the command line."""
