package fakediscord

import (
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"bytes"
)

// ask is a request as far as methods care about it.
type ask struct {
	path  func(name string) string
	query url.Values
	raw   json.RawMessage // the JSON body, or payload_json of a form
	value any             // the same, generic; nil where there is none
	files map[string]file // by number, as attachments name them
}

// file is what was uploaded.
type file struct {
	name string
	data []byte
}

// asked reads a request.
func asked(r *http.Request, raw []byte) (a ask, err error) {
	a = ask{path: r.PathValue, query: r.URL.Query(), files: map[string]file{}}
	kind, args, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case len(raw) == 0:
		return a, nil
	case kind == "multipart/form-data":
		form := multipart.NewReader(bytes.NewReader(raw), args["boundary"])
		for {
			part, err := form.NextPart()
			if err == io.EOF {
				break
			}
			if err != nil {
				return a, err
			}
			data, err := io.ReadAll(part)
			if err != nil {
				return a, err
			}
			if part.FormName() == "payload_json" {
				a.raw = data
				continue
			}
			number := strings.TrimSuffix(strings.TrimPrefix(part.FormName(), "files["), "]")
			if _, err := strconv.Atoi(number); err != nil {
				return a, fmt.Errorf("the part %q is no file", part.FormName())
			}
			a.files[number] = file{part.FileName(), data}
		}
	case kind == "application/json":
		a.raw = raw
	default:
		return a, fmt.Errorf("the content type %q is none that is taken", kind)
	}
	a.value, err = generic(a.raw)
	return a, err
}

// method is one route.
type method struct {
	do      func(s *Server, a ask) answer // the lock is held
	byToken bool                          // a token in the path is the right to it
}

var methods map[string]method

func init() { // the table and what answers refer to one another
	methods = map[string]method{
		"GET /gateway/bot":                                                    {do: (*Server).gatewayBot},
		"GET /users/@me":                                                      {do: func(s *Server, _ ask) answer { return ok(s.userOf(s.o.AppID)) }},
		"GET /applications/@me":                                               {do: (*Server).application},
		"GET /users/@me/guilds":                                               {do: (*Server).ownGuilds},
		"GET /users/{user_id}":                                                {do: (*Server).user},
		"POST /users/@me/channels":                                            {do: (*Server).direct},
		"GET /guilds/{guild_id}":                                              {do: (*Server).guild},
		"GET /guilds/{guild_id}/channels":                                     {do: (*Server).guildChannels},
		"GET /guilds/{guild_id}/threads/active":                               {do: (*Server).activeThreads},
		"GET /guilds/{guild_id}/roles":                                        {do: (*Server).guildRoles},
		"GET /guilds/{guild_id}/members":                                      {do: (*Server).guildMembers},
		"GET /guilds/{guild_id}/members/search":                               {do: (*Server).guildMembers},
		"GET /guilds/{guild_id}/members/{user_id}":                            {do: (*Server).guildMember},
		"GET /channels/{channel_id}":                                          {do: (*Server).channel},
		"POST /channels/{channel_id}/messages":                                {do: (*Server).post},
		"GET /channels/{channel_id}/messages/{message_id}":                    {do: (*Server).get},
		"PATCH /channels/{channel_id}/messages/{message_id}":                  {do: (*Server).edit},
		"DELETE /channels/{channel_id}/messages/{message_id}":                 {do: (*Server).remove},
		"POST /channels/{channel_id}/messages/{message_id}/threads":           {do: (*Server).startThread},
		"POST /interactions/{interaction_id}/{interaction_token}/callback":    {do: (*Server).callback, byToken: true},
		"POST /webhooks/{webhook_id}/{webhook_token}":                         {do: (*Server).followUp, byToken: true},
		"GET /webhooks/{webhook_id}/{webhook_token}/messages/@original":       {do: (*Server).getOriginal, byToken: true},
		"PATCH /webhooks/{webhook_id}/{webhook_token}/messages/@original":     {do: (*Server).editOriginal, byToken: true},
		"DELETE /webhooks/{webhook_id}/{webhook_token}/messages/@original":    {do: (*Server).removeOriginal, byToken: true},
		"PATCH /webhooks/{webhook_id}/{webhook_token}/messages/{message_id}":  {do: (*Server).editFollowUp, byToken: true},
		"DELETE /webhooks/{webhook_id}/{webhook_token}/messages/{message_id}": {do: (*Server).removeFollowUp, byToken: true},
		"GET /applications/{application_id}/commands":                         {do: (*Server).listCommands},
		"PUT /applications/{application_id}/commands":                         {do: (*Server).putCommands},
		"GET /applications/{application_id}/guilds/{guild_id}/commands":       {do: (*Server).listCommands},
		"PUT /applications/{application_id}/guilds/{guild_id}/commands":       {do: (*Server).putCommands},
	}
}
