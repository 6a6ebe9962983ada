package githubprovider

import (
	"strings"
	"testing"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/provider"
)

// TestCommitted: a commit's own time is known, and what is none is said to be
// none, and is never a time of zero without an error.
func TestCommitted(t *testing.T) {
	w := newWorld(t)
	d := w.attach()
	v2, err := d.Committed(t.Context(), provider.Artefact{ID: w.sha["v2"]})
	if err != nil {
		t.Fatal(err)
	}
	v3, err := d.Committed(t.Context(), provider.Artefact{ID: w.sha["v3"]})
	if err != nil || v2.IsZero() || !v3.After(v2) || v3.Location() != time.UTC {
		t.Errorf("v2 was committed %s and v3 %s, %v", v2, v3, err)
	}
	for _, id := range []string{"v2", "", strings.Repeat("0", 40), "../../user"} {
		if at, err := d.Committed(t.Context(), provider.Artefact{ID: id}); bot.KindOf(err) != bot.NotFound || !at.IsZero() {
			t.Errorf("%q was committed %s, %v", id, at, err)
		}
	}
}
