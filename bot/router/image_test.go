package router_test

import (
	"context"
	"slices"
	"testing"

	"quarterdeck/bot"
	"quarterdeck/bot/bottest"
)

// TestImageOfAnAnswer brings a picture from a command to the network as it is;
// one that no network would take is left out, and its words are said.
func TestImageOfAnAnswer(t *testing.T) {
	t.Parallel()
	good := bottest.Picture()
	images := map[string]*bot.Image{
		"draw": good, "huge": {Name: "a.png", Alt: "x", PNG: append(slices.Clone(good.PNG), make([]byte, bot.MaxImage)...)},
		"script": {Name: "a.png", Alt: "x", PNG: []byte("<svg onload=alert(1)>")}, "climb": {Name: "../../etc/a.png", Alt: "x", PNG: good.PNG},
		"mute": {Name: "a.png", PNG: good.PNG},
	}
	var drawing []bot.Command
	for name, image := range images {
		drawing = append(drawing, bot.Command{Name: name, Summary: "draws", Permission: bot.MayAskSelf,
			Resolve: func(bot.Call) (bot.Ask, error) {
				return bot.Ask{Permission: bot.MayAskSelf, Resources: []bot.Resource{bot.TheBot}}, nil
			},
			Read: func(context.Context, bot.Call) (bot.Reply, error) {
				return bot.Reply{Card: bot.Card{Title: "the chart of " + name, Image: image}}, nil
			}})
	}
	talk, now := friendly()
	w := start(t, talk, now, "", drawing...)
	for name := range images {
		p := w.gets(t, w.Dev, name, bot.OutcomeOK)
		if p.Card.Title != "the chart of "+name {
			t.Errorf("%s: %q", name, p.Card.Title)
		}
		if (p.Card.Image != nil) != (name == "draw") {
			t.Errorf("%s: image %+v", name, p.Card.Image)
		}
		if i := p.Card.Image; i != nil && (i.Alt != good.Alt || i.Name != good.Name || !slices.Equal(i.PNG, good.PNG)) {
			t.Errorf("%s: the image came as %+v", name, i)
		}
	}
}
