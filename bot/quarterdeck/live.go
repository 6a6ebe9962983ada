package main

import (
	"context"
	"fmt"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/app"
)

// liveWithin bounds all questions to the chat networks.
const liveWithin = 3 * time.Minute

// probe asks the chat networks whether what is configured works, and prints a
// line for each finding. It ends with 1 where something does not.
func probe(ctx context.Context, a *app.App, post bool) error {
	ctx, cancel := context.WithTimeout(ctx, liveWithin)
	defer cancel()
	found := a.Probe(ctx, post)
	if len(found) == 0 {
		fmt.Println("no chat network is configured that could be asked")
		return nil
	}
	faults, doubts := 0, 0
	for _, f := range found {
		switch f.Level {
		case bot.Broken:
			faults++
		case bot.Doubtful:
			doubts++
		}
		fmt.Printf("%s: %s: %s\n", f.Network, f.Level, f.Say)
	}
	fmt.Printf("live: %s, %s\n", count(faults, "fault", "faults"), count(doubts, "warning", "warnings"))
	if faults > 0 {
		return exitCode(exitFailed)
	}
	return nil
}
