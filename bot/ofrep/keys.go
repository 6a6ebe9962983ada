package ofrep

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"quarterdeck/bot"
)

// maxKey bounds what is looked at of a key that somebody shows.
const maxKey = 1024

// leastKey is how long a key must be, in bytes: one that can be guessed is none.
const leastKey = 16

// rereadEvery is how often keys are read again: a rotated one counts from then on.
const rereadEvery = 5 * time.Second

// keyring is the keys as they are now. It is never changed.
type keyring struct {
	at      time.Time
	secret  [32]byte            // of this process: what is compared tells nobody anything
	targets map[[32]byte]holder // by the keyed digest of the key
	events  map[bot.Target][][]byte
}

type holder struct {
	target bot.Target
	digest [32]byte
	event  []byte
}

// digest gives what a key is looked up by.
func (k *keyring) digest(key string) [32]byte {
	mac := hmac.New(sha256.New, k.secret[:])
	mac.Write([]byte(key))
	return [32]byte(mac.Sum(nil))
}

// event gives what admits to the stream of a target: whoever has the key can show
// it, in every process alike, and it tells nothing of the key.
func event(key string, t bot.Target) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte("flag events of " + t.String()))
	return mac.Sum(nil)[:16]
}

// ring reads the keys, at most every few seconds.
type ring struct {
	mu  sync.Mutex
	now *keyring
}

func (s *Server) keys() *keyring {
	s.ring.mu.Lock()
	defer s.ring.mu.Unlock()
	now := s.Clock.Now()
	if k := s.ring.now; k != nil && now.Sub(k.at) < rereadEvery && !now.Before(k.at) {
		return k
	}
	k := &keyring{at: now, targets: map[[32]byte]holder{}, events: map[bot.Target][][]byte{}}
	rand.Read(k.secret[:]) // never fails, crypto/rand documents
	var ambiguous [][32]byte
	for t, secrets := range s.Keys() {
		for _, secret := range secrets {
			key, err := secret.Value()
			if err != nil || len(key) < leastKey || len(key) > maxKey {
				s.unusable(t, err)
				continue
			}
			d := k.digest(key)
			if other, taken := k.targets[d]; taken && other.target != t {
				ambiguous = append(ambiguous, d)
			}
			k.targets[d] = holder{t, d, event(key, t)}
			k.events[t] = append(k.events[t], event(key, t))
		}
	}
	for _, d := range ambiguous { // one key must not open what somebody else's opens
		s.Logger.Error("two targets have the same flag key, so that it opens neither", "target", k.targets[d].target.String())
		delete(k.targets, d)
	}
	s.ring.now = k
	return k
}

// unusable tells, once for each target and process, of a key that opens nothing.
func (s *Server) unusable(t bot.Target, err error) {
	if _, told := s.told.LoadOrStore(t, true); told {
		return
	}
	if err == nil {
		err = bot.Errorf(bot.Invalid, "a key takes %d to %d bytes", leastKey, maxKey)
	}
	s.Logger.Error("a flag key cannot be used", "target", t.String(), "err", err)
}

// who gives the target whose key a request shows.
func (s *Server) who(q *http.Request) (holder, bool) {
	key := q.Header.Get("X-API-Key")
	if scheme, token, found := strings.Cut(q.Header.Get("Authorization"), " "); found && strings.EqualFold(scheme, "Bearer") {
		key = strings.TrimSpace(token)
	}
	if key == "" || len(key) > maxKey {
		return holder{}, false
	}
	k := s.keys()
	d := k.digest(key)
	h, found := k.targets[d]
	return h, found && subtle.ConstantTimeCompare(d[:], h.digest[:]) == 1
}

// listener gives the target whose stream a request may hear.
func (s *Server) listener(q *http.Request) (bot.Target, bool) {
	if h, ok := s.who(q); ok {
		return h.target, true
	}
	t, ok := bot.ParseTarget(q.URL.Query().Get("target"))
	shown, err := hex.DecodeString(q.URL.Query().Get("key"))
	if !ok || err != nil {
		return t, false
	}
	return t, slices.ContainsFunc(s.keys().events[t], func(e []byte) bool { return subtle.ConstantTimeCompare(e, shown) == 1 })
}
