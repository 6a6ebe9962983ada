package discordchat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/bwmarrin/discordgo"

	"quarterdeck/bot"
)

const (
	// maxPayload bounds one signed request.
	maxPayload = 1 << 20
	// signedWithin is how old a signature may be, and how far ahead.
	signedWithin = 5 * time.Minute
	// forgedEvery is how often at most the log tells of forged requests: anybody
	// can send them. All are counted.
	forgedEvery = time.Minute
)

// Routes implements bot.Routed: what Discord posts to where the application has an
// interactions endpoint.
func (s *chat) Routes() []bot.Route {
	if s.config.Mode != modeHTTP {
		return nil
	}
	return []bot.Route{{On: bot.OnPublic, Method: http.MethodPost, Path: "/discord/interactions", MaxBody: maxPayload, Handler: http.HandlerFunc(s.signed)}}
}

// signed answers requests that carry Discord's signature over their raw body and
// its time.
func (s *chat) signed(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "the body cannot be read", http.StatusRequestEntityTooLarge)
		return
	}
	if err := s.verify(r, body); err != nil {
		s.forged(err)
		http.Error(w, "not signed by Discord", http.StatusUnauthorized) // Discord tries whether forgeries are refused
		return
	}
	var kind struct {
		Type int `json:"type"`
	}
	if json.Unmarshal(body, &kind) == nil && kind.Type == isPing { // also before the bot knows who it is
		answer(w, first{Type: sayPong})
		return
	}
	in := s.inbound()
	if in == nil {
		http.Error(w, "the bot is starting", http.StatusServiceUnavailable)
		return
	}
	answered := false
	s.guarded("interaction", func() {
		err = s.interaction(r.Context(), in, body, func(_ context.Context, a any) error {
			answered = true
			return answer(w, a)
		})
	})
	switch {
	case answered:
	case errors.Is(err, errLate):
		answer(w, inWords("not run: it came too late; please ask again"))
	case errors.Is(err, errRepeated):
		answer(w, inWords("that was received before"))
	default:
		if err != nil {
			s.unreadable("interaction", err)
		}
		http.Error(w, "it cannot be read", http.StatusBadRequest)
	}
}

// verify checks the signature, and that the request is not older than five minutes
// (docs.discord.com/developers/interactions/overview).
func (s *chat) verify(r *http.Request, body []byte) error {
	seconds, err := strconv.ParseInt(r.Header.Get("X-Signature-Timestamp"), 10, 64)
	if err != nil {
		return errors.New("it does not say when it was signed")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if !discordgo.VerifyInteraction(r, s.key) {
		return errors.New("the signature is wrong")
	}
	if age := s.now().Sub(time.Unix(seconds, 0)); age > signedWithin || age < -signedWithin {
		return errors.New("it was signed too long ago, or the clock is wrong")
	}
	return nil
}

func (s *chat) forged(err error) {
	all, now := s.tally.forged.Add(1), s.o.Clock.Now().UnixMicro()
	last := s.tally.warned.Load()
	if last != 0 && now-last < forgedEvery.Microseconds() && now >= last || !s.tally.warned.CompareAndSwap(last, now) {
		return
	}
	s.logger().Warn("a request that Discord did not sign was refused", "err", err, "all", all)
}

// answer writes the first answer of an interaction, and has it sent at once:
// Discord takes nothing by its token before.
func answer(w http.ResponseWriter, a any) error {
	body, err := json.Marshal(a)
	if err != nil {
		http.Error(w, "no answer", http.StatusInternalServerError)
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if _, err = w.Write(body); err == nil {
		err = http.NewResponseController(w).Flush()
		if errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
	}
	return err
}
