"""IBC v2: packets between two clients that name each other, without connections and channels.

The planner, the book, batching, delivery and the watch are those of v1 paths. An end of v2 is an `End` without a port,
its packet carries the encoded `ibc.core.channel.v2.Packet` as data, its acknowledgement the encoded
`Acknowledgement`. What differs lies here: event attributes, queries, proofs and messages, the making of a path, and
what a filter reads in payloads. Source: ibc-go v10.7, modules/core/02-client/v2 and 04-channel/v2.
"""
