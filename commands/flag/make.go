package flag

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/flag"
	"quarterdeck/bot/provider"
)

// usualLife is how long a temporary flag is meant to be there unless it says
// otherwise: what a release needs.
const usualLife = 40 * 24 * time.Hour

func (v *verbs) create() bot.Command {
	return bot.Command{
		Name:    "flag create",
		Summary: "make a flag, off in every environment of its service",
		Help: "A boolean flag has the variants off and on. For another type give --variants, such as light=#fff,dark=#000 or a JSON object of them; " +
			"the first is what is served while the flag is off, and the last what it gives when it is on. A flag is temporary, meant for 40 days, " +
			"unless --lifetime or --permanent says otherwise; flag stale shows which are older.",
		Examples: []string{`flag create new-checkout --description "one page instead of three"`, "flag create theme --type string --variants light=#fff,dark=#000 --permanent"},
		Params:   []bot.Param{flagParam()},
		Options: []bot.Param{
			{Name: "service", Type: bot.TypeService, Help: "whose flag it is, unless only one service has flags"},
			{Name: "type", Type: bot.TypeChoice, Choices: []string{"boolean", "string", "number", "object"}, Help: "what its values are, boolean unless given"},
			{Name: "variants", Type: bot.TypeText, Help: "its values by name: light=#fff,dark=#000"},
			{Name: "description", Type: bot.TypeText, Help: "what it is for"},
			{Name: "owner", Type: bot.TypePerson, Help: "who answers for it, you unless given"},
			{Name: "lifetime", Type: bot.TypeDuration, Help: "how long it is meant to be there, 40d unless given"},
			{Name: "permanent", Type: bot.TypeFlag, Help: "it is meant to stay"},
		},
		Permission: bot.MayCreateFlag,
		Resolve: func(c bot.Call) (bot.Ask, error) {
			var where []string
			targets, err := v.homes(c.Args["service"])
			for _, t := range targets {
				where = append(where, t.Environment)
			}
			if err != nil { // Plan says it, to those who may
				where = v.environments()
			}
			return bot.Ask{Permission: bot.MayCreateFlag, Resources: resources(where, c.Args["flag"])}, nil
		},
		Plan: v.planCreate,
	}
}

// homes gives the targets of the service that a new flag belongs to.
func (v *verbs) homes(service string) ([]bot.Target, error) {
	var of []bot.Target
	var services []string
	for _, t := range v.flagged("") {
		if service == "" && len(of) > 0 && of[0].Service != t.Service || len(services) == 0 || services[len(services)-1] != t.Service {
			services = append(services, t.Service)
		}
		if service == "" || t.Service == service {
			of = append(of, t)
		}
	}
	switch {
	case len(of) == 0 && service != "":
		return nil, bot.Errorf(bot.Invalid, "%s has no flags; give it a flags table, as config.example.toml shows", service)
	case len(of) == 0:
		return nil, bot.Errorf(bot.Invalid, "no service has flags; give one a flags table, as config.example.toml shows")
	case service == "" && len(services) > 1:
		return nil, bot.Errorf(bot.Invalid, "say whose flag it is: --service %s", strings.Join(services, ", or --service "))
	}
	return of, nil
}

func (v *verbs) planCreate(ctx context.Context, c bot.Call) (bot.Plan, error) {
	targets, err := v.homes(c.Args["service"])
	if err != nil {
		return bot.Plan{}, err
	}
	f, err := described(c)
	if err != nil {
		return bot.Plan{}, err
	}
	p := bot.Plan{Slot: "flag " + f.Key + " everywhere", Summary: fmt.Sprintf("make the flag %s of %s", f.Key, targets[0].Service), Guarded: true, Undo: "flag archive " + f.Key}
	var changes flag.Changes
	var resources []bot.Resource
	for _, t := range targets {
		flagger, err := v.Catalog.Flagger(t)
		if err != nil {
			return p, err
		}
		if !flagger.Powers().Create {
			return p, bot.Errorf(bot.Invalid, "flags of %s are made where they are kept, and not from here", t)
		}
		now := v.now()
		if there, found := now.Get(t.Environment, f.Key); found {
			return p, bot.Errorf(bot.Conflict, "there is a flag %s of %s in %s already; give this one another name", f.Key, there.Target.Service, t.Environment)
		}
		to := f.Copy()
		to.Target = t
		change := provider.FlagChange{Target: t, Key: f.Key, From: provider.NoFlag, To: &to, Text: "made, " + to.Reach()}
		if _, err := flagger.Begin(change, bot.Task{Key: "plan"}); err != nil { // it says what is wrong with it
			return p, err
		}
		changes.Changes = append(changes.Changes, change)
		resources = append(resources, to.Resource())
		p.Preconditions = append(p.Preconditions, flag.Facts(v.Catalog, change)[:1]...)
		p.Preview = append(p.Preview, bot.Field{Name: t.Environment, Value: to.Reach()})
	}
	var values []string
	for _, variant := range f.Variants {
		values = append(values, fmt.Sprintf("%s = %s", variant.Name, variant.Value))
	}
	p.Preview = append(p.Preview, bot.Field{Name: "variants", Value: strings.Join(values, ", ")}, bot.Field{Name: "owner", Value: f.Owner})
	p.Spec, err = bot.NewSpec(flag.Kind, "flag create", bot.Target{}, resources, changes)
	return p, err
}

// described gives the flag that the arguments describe, without a target.
func described(c bot.Call) (provider.Flag, error) {
	f := provider.Flag{Key: c.Args["flag"], Type: provider.BooleanFlag, Description: c.Args["description"], Owner: c.Args["owner"],
		Created: c.At, Percent: 100, Lifetime: usualLife}
	if f.Owner == "" {
		f.Owner = c.Who.Person
	}
	if t := c.Args["type"]; t != "" {
		f.Type = provider.FlagType(t)
	}
	if s := c.Args["lifetime"]; s != "" {
		d, err := time.ParseDuration(s)
		if err != nil || c.Args["permanent"] != "" {
			return f, bot.Errorf(bot.Invalid, "a flag is permanent or has a lifetime; give one of the two")
		}
		f.Lifetime = d
	}
	if c.Args["permanent"] != "" {
		f.Lifetime = 0
	}
	switch text := c.Args["variants"]; {
	case text == "" && f.Type == provider.BooleanFlag:
		f.Variants = []provider.FlagVariant{{Name: "off", Value: json.RawMessage("false")}, {Name: "on", Value: json.RawMessage("true")}}
	case text == "":
		return f, bot.Errorf(bot.Invalid, "a %s flag needs values; add --variants NAME=VALUE,NAME=VALUE", f.Type)
	default:
		var err error
		if f.Variants, err = variants(f.Type, text); err != nil {
			return f, err
		}
	}
	if len(f.Variants) == 0 {
		return f, bot.Errorf(bot.Invalid, "a flag needs at least one variant")
	}
	f.Off, f.Variant = f.Variants[0].Name, f.Variants[len(f.Variants)-1].Name
	return f, nil
}

// variants reads "light=#fff,dark=#000", or a JSON object in its order.
func variants(t provider.FlagType, text string) (all []provider.FlagVariant, err error) {
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		d := json.NewDecoder(strings.NewReader(text))
		if _, err := d.Token(); err != nil {
			return nil, badVariants()
		}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, badVariants()
			}
			var raw json.RawMessage
			if d.Decode(&raw) != nil {
				return nil, badVariants()
			}
			var compact bytes.Buffer
			if json.Compact(&compact, raw) != nil {
				return nil, badVariants()
			}
			all = append(all, provider.FlagVariant{Name: fmt.Sprint(name), Value: compact.Bytes()})
		}
		if _, err := d.Token(); err != nil || d.More() {
			return nil, badVariants()
		}
		return all, nil
	}
	for one := range strings.SplitSeq(text, ",") {
		name, value, found := strings.Cut(one, "=")
		if !found {
			return nil, badVariants()
		}
		v, err := valueOf(t, strings.TrimSpace(value))
		if err != nil {
			return nil, err
		}
		all = append(all, provider.FlagVariant{Name: strings.TrimSpace(name), Value: v})
	}
	return all, nil
}

func badVariants() error {
	return bot.Errorf(bot.Invalid, `variants are written light=#fff,dark=#000, or as JSON: {"light":{"background":"#fff"},"dark":{"background":"#000"}}`)
}

// valueOf gives a value as JSON; a text needs no quotation marks.
func valueOf(t provider.FlagType, text string) (json.RawMessage, error) {
	var compact bytes.Buffer
	if json.Compact(&compact, []byte(text)) == nil && (t != provider.StringFlag || strings.HasPrefix(text, `"`)) {
		return compact.Bytes(), nil
	}
	if t != provider.StringFlag {
		return nil, bot.Errorf(bot.Invalid, "%q is no %s", text, t)
	}
	return json.Marshal(text)
}

func (v *verbs) archive() bot.Command {
	return bot.Command{
		Name:       "flag archive",
		Summary:    "take a flag out of use, everywhere",
		Help:       "Services that still ask for it get their own default. What it was stays in its history, and flag create makes it anew.",
		Examples:   []string{"flag archive new-checkout"},
		Params:     []bot.Param{v.knownParam()},
		Permission: bot.MayCreateFlag,
		Resolve:    v.everywhere(bot.MayCreateFlag),
		Plan: func(ctx context.Context, c bot.Call) (bot.Plan, error) {
			key := c.Args["flag"]
			p := bot.Plan{Slot: "flag " + key + " everywhere", Summary: "take the flag " + key + " out of use", Guarded: true}
			var changes flag.Changes
			var resources []bot.Resource
			var missing error
			for _, environment := range v.where(key) {
				f, flagger, err := v.get(ctx, environment, key)
				if bot.KindOf(err) == bot.NotFound {
					missing = err
					continue
				}
				if err != nil {
					return p, err
				}
				if !flagger.Powers().Create {
					return p, bot.Errorf(bot.Invalid, "flags of %s are taken out of use where they are kept, and not from here", f.Target)
				}
				to := f.Copy()
				to.Archived = true
				change := provider.FlagChange{Target: f.Target, Key: key, From: f.Revision, To: &to, Text: flag.Difference(f, to)}
				changes.Changes = append(changes.Changes, change)
				resources = append(resources, f.Resource())
				p.Preconditions = append(p.Preconditions, flag.Facts(v.Catalog, change)[:1]...)
				p.Preview = append(p.Preview, bot.Field{Name: environment, Value: change.Text})
				if f.On {
					p.Warnings = append(p.Warnings, fmt.Sprintf("it is %s in %s; who asks for it gets the default of the code", f.Reach(), environment))
				}
			}
			if len(changes.Changes) == 0 {
				return p, missing
			}
			var err error
			p.Spec, err = bot.NewSpec(flag.Kind, "flag archive", bot.Target{}, resources, changes)
			return p, err
		},
	}
}
