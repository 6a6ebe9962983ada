package auth

import (
	"fmt"
	"testing"

	"quarterdeck/bot"
)

// BenchmarkReview compares rules about 60 people and 5,000 services of which
// every tenth has a grant of its own, with hours.
func BenchmarkReview(b *testing.B) {
	var people []Subject
	for i := range 60 {
		name := fmt.Sprintf("p%02d", i)
		people = append(people, Subject{Name: name, Person: name, Roles: []string{fmt.Sprintf("team%d", i%6)}})
	}
	r := Rules{Roles: []string{"team0", "team1", "team2", "team3", "team4", "team5"}, Persons: names(people)}
	r.Grants = []Grant{{Roles: r.Roles, Permissions: []string{"deploy", "rollback", "status"}, Targets: []string{"*/*"}, Hours: []string{"mon-fri 08:00-18:00"}}}
	for i := range 5000 {
		t := bot.Target{Service: fmt.Sprintf("s%04d", i), Environment: "prod"}
		r.Targets = append(r.Targets, t)
		if i%10 == 0 {
			r.Grants = append(r.Grants, Grant{Roles: []string{r.Roles[i%6]}, Permissions: []string{"*"}, Targets: []string{t.String()}})
		}
	}
	was, err := New(r)
	if err != nil {
		b.Fatal(err)
	}
	r.Grants = r.Grants[1:]
	is, err := New(r)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if len(Review(Side{was, people, r.Targets}, Side{is, people, r.Targets})) == 0 {
			b.Fatal("nothing changed")
		}
	}
}
