package fakediscord

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// bucket counts what shares one limit.
type bucket struct {
	left  int
	reset time.Time
}

// limit takes one permit of a request, or answers that there is none.
func (s *Server) limit(w http.ResponseWriter, r *http.Request, pattern string) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Clock.Now()
	take := func(key string, most int, within time.Duration) (*bucket, bool) {
		b := s.buckets[key]
		if b == nil || !now.Before(b.reset) {
			b = &bucket{most, now.Add(within)}
			s.buckets[key] = b
		}
		if b.left == 0 {
			return b, false
		}
		b.left--
		return b, true
	}
	if s.o.Global > 0 && !strings.Contains(pattern, " /interactions/") && !strings.Contains(pattern, " /webhooks/") { // which are exempt
		if b, ok := take("", s.o.Global, time.Second); !ok {
			return tooMany(w, b.reset.Sub(now), "global")
		}
	}
	if s.o.PerChannel == 0 || !strings.HasPrefix(pattern, "POST /channels/{channel_id}/messages") || r.PathValue("message_id") != "" {
		return answer{}
	}
	b, ok := take(r.PathValue("channel_id"), s.o.PerChannel, s.o.PerChannelIn)
	w.Header().Set("X-RateLimit-Bucket", "messages")
	w.Header().Set("X-RateLimit-Limit", strconv.Itoa(s.o.PerChannel))
	w.Header().Set("X-RateLimit-Remaining", strconv.Itoa(b.left))
	w.Header().Set("X-RateLimit-Reset-After", fmt.Sprintf("%.3f", b.reset.Sub(now).Seconds()))
	if !ok {
		return tooMany(w, b.reset.Sub(now), "user")
	}
	return answer{}
}

// tooMany is a 429 as Discord's own servers answer it.
func tooMany(w http.ResponseWriter, wait time.Duration, scope string) answer {
	if scope == "" {
		scope = "user"
	}
	w.Header().Set("X-RateLimit-Scope", scope)
	w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	if scope == "global" {
		w.Header().Set("X-RateLimit-Global", "true")
	}
	return answer{http.StatusTooManyRequests, map[string]any{"message": "You are being rate limited.", "retry_after": wait.Seconds(), "global": scope == "global"}}
}
