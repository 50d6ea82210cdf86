"""The HTTP side of the OAuth 2.1 and OpenID Connect authorization server.

Authlib judges the protocol; what it asks for is here: clients, codes and tokens from our tables, pages for people.
"""
