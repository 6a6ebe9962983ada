package main

import "testing"

// TestPaged follows the story from a bad deployment to the page that the monitor's
// alert makes of it, and to its end once production is as it was.
func TestPaged(t *testing.T) {
	s := begin(t)
	s.types("oncall")
	s.expect(`primary +sre `)
	s.types("deploy shop v3 prod", "confirm", "/as sre", "approve")
	s.expect(`deploy shop v3 to prod: done`)
	s.typesUntil("page list", `1 +shop/prod +OrdersFail +triggered +sre`)
	s.types("page show")
	s.expect(`deploy shop v3 to prod: done, by dev`)
	s.types("page ack")
	s.expect(`sre has page 1; nobody else is asked`)
	s.types("rollback shop prod")
	s.expect(`roll back shop in prod to v1: done`)
	s.typesUntil("page list", `no page is open`)
	s.types("page story 1")
	s.expect(`\*\*acknowledged\*\* by sre`)
	s.expect(`roll back shop in prod to v1: done`)
	s.expect(`\*\*resolved\*\* by the bot: every alert is resolved`)
	s.end()
}
