package bot

import (
	"net/http"
	"slices"
	"strings"
)

// Listener names one of the three addresses on which the bot answers HTTP. They
// are apart because who may reach them differs.
type Listener string

// The closed set of listeners.
const (
	OnPublic   Listener = "public"   // the internet; every request is signed by its sender
	OnInternal Listener = "internal" // the team's own monitoring; nothing is signed
	OnFlags    Listener = "flags"    // the services that read their flags
)

// Listeners gives the listeners in the order in which they are told of.
func Listeners() []Listener { return []Listener{OnPublic, OnInternal, OnFlags} }

// paths are what may be mounted on each listener; one with a slash at its end
// holds what is below it too.
var paths = map[Listener][]string{
	OnPublic:   {"/slack/", "/discord/interactions", "/webhooks/"},
	OnInternal: {"/healthz", "/readyz", "/metrics", "/webhooks/alertmanager"},
	OnFlags:    {"/ofrep/v1/"},
}

// Holds reports whether path belongs on the listener: what is signed by its
// sender and what is not never share one by mistake.
func (l Listener) Holds(path string) bool {
	return slices.ContainsFunc(paths[l], func(p string) bool {
		return path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p) && len(path) > len(p)
	})
}

// Route is one row of the table of what the bot answers over HTTP.
type Route struct {
	On     Listener
	Method string // "GET" also answers HEAD; any other method is refused
	// Path is a whole path, or a pattern of net/http with names in braces:
	// "/webhooks/{source}".
	Path string
	// MaxBody bounds the request's body in bytes; 0 means that none is taken.
	// Reading beyond it gives an error, and the sender is told 413.
	MaxBody int64
	// Stream marks an answer that lasts for as long as who asked stays: the
	// listener's time for one answer does not count, and the handler bounds each
	// of its writes itself.
	Stream bool
	// Handler answers. Its request's context ends when the listener's time for
	// one answer is over, and when the bot stops at once. A panic becomes
	// "internal error, ref ...".
	Handler http.Handler
}

// Routed is a chat network or provider that is spoken to over HTTP. Routes is
// asked once, before Run.
type Routed interface{ Routes() []Route }
