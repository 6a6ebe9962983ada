// Package terminal is the chat network of the local machine: a Unix socket
// that a running bot listens on, the session that talks to it from a terminal
// or a script, and the rendering of cards as text.
//
// # Who is who
//
// The operating system says who is at the other end of the socket: the peer's
// uid gives the account "os:UID". Nothing that a client writes can change that,
// with one exception meant for demonstrations and tests: where the
// configuration says impersonate = true, a line may name the account
// "terminal:NAME" it is from.
//
// # The conversation on the socket
//
// Both sides write JSON objects, one a line. The client begins with "hello",
// which carries the protocol's version and a secret of 128 random bits that it
// keeps for the life of the session. The secret and the peer's uid together
// give the session's channel, "terminal:" and 32 hexadecimal digits, so a
// session that comes back after the bot was restarted finds its channel, and
// nobody else can take it over: neither another uid that learns the secret, nor
// somebody who reads the channel's name in the audit log.
//
// The client numbers its lines. The N-th has the Message.ID CHANNEL:N, and is
// sent again until the bot says that it is in the inbox, so the bot sees a line
// that was sent twice as one delivery. Cards go the same way back: each is sent
// until the client says that it got it.
package terminal
