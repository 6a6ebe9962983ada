package config

// file is the configuration as written. Every key is documented in
// config.example.toml; tests hold the two against one another.
type file struct {
	Include []string `toml:"include"`
	Bot     struct {
		Database        string `toml:"database"`
		Socket          string `toml:"socket"`
		SocketGroup     string `toml:"socket_group"`
		State           string `toml:"state"`
		Journal         string `toml:"journal"`
		Timezone        string `toml:"timezone"`
		ConfirmExpires  string `toml:"confirm_expires"`
		ApprovalExpires string `toml:"approval_expires"`
		Rate            *int   `toml:"rate"`
	} `toml:"bot"`
	Audit struct {
		Channels    []string       `toml:"channels"`
		Key         string         `toml:"key"`
		Checkpoints string         `toml:"checkpoints"`
		Redact      []string       `toml:"redact"`
		Retain      string         `toml:"retain"`
		Archive     string         `toml:"archive"`
		Copy        map[string]any `toml:"copy"`
	} `toml:"audit"`
	Chat   map[string]map[string]any `toml:"chat"`
	Person []struct {
		Name     string   `toml:"name"`
		Accounts []string `toml:"accounts"`
		Roles    []string `toml:"roles"`
		Email    string   `toml:"email"`
		GitHub   string   `toml:"github"`
		Disabled bool     `toml:"disabled"`
	} `toml:"person"`
	Role []struct {
		Name   string   `toml:"name"`
		Groups []string `toml:"groups"`
	} `toml:"role"`
	Grant []struct {
		Roles       []string `toml:"roles"`
		Persons     []string `toml:"persons"`
		Permissions []string `toml:"permissions"`
		Targets     []string `toml:"targets"`
		Flags       []string `toml:"flags"`
		Channels    []string `toml:"channels"`
		Hours       []string `toml:"hours"`
	} `toml:"grant"`
	Deny []struct {
		Roles       []string `toml:"roles"`
		Persons     []string `toml:"persons"`
		Permissions []string `toml:"permissions"`
		Targets     []string `toml:"targets"`
		Flags       []string `toml:"flags"`
		Channels    []string `toml:"channels"`
		Hours       []string `toml:"hours"`
		Reason      string   `toml:"reason"`
	} `toml:"deny"`
	Require []struct {
		Permissions []string `toml:"permissions"`
		Targets     []string `toml:"targets"`
		Flags       []string `toml:"flags"`
		Confirm     bool     `toml:"confirm"`
		Approvals   *struct {
			Count int      `toml:"count"`
			From  []string `toml:"from"`
		} `toml:"approvals"`
		Reason bool   `toml:"reason"`
		Ticket string `toml:"ticket"`
		StepUp bool   `toml:"step_up"`
	} `toml:"require"`
	Auth struct {
		TOTPKey string `toml:"totp_key"`
	} `toml:"auth"`
	Freeze []struct {
		Environments []string `toml:"environments"`
		Every        string   `toml:"every"`
		Reason       string   `toml:"reason"`
	} `toml:"freeze"`
	Listen struct {
		Public   string `toml:"public"`
		Internal string `toml:"internal"`
		Flags    string `toml:"flags"`
	} `toml:"listen"`
	Log struct {
		Format string `toml:"format"`
		Level  string `toml:"level"`
	} `toml:"log"`
	Stop struct {
		Within string `toml:"within"`
	} `toml:"stop"`
	Heartbeat *struct {
		URL   string `toml:"url"`
		Every string `toml:"every"`
	} `toml:"heartbeat"`
	Action []struct {
		Name       string         `toml:"name"`
		Summary    string         `toml:"summary"`
		Help       string         `toml:"help"`
		Permission string         `toml:"permission"`
		Slot       string         `toml:"slot"`
		Undo       string         `toml:"undo"`
		Reads      bool           `toml:"reads"`
		Run        map[string]any `toml:"run"`
		Arguments  []argument     `toml:"arguments"`
	} `toml:"action"`
	Digest []struct {
		Name         string   `toml:"name"`
		At           string   `toml:"at"`
		Channel      string   `toml:"channel"`
		Timezone     string   `toml:"timezone"`
		Late         string   `toml:"late"`
		Sections     []string `toml:"sections"`
		Lines        *int     `toml:"lines"`
		Environments []string `toml:"environments"`
		Hosts        []string `toml:"hosts"`
	} `toml:"digest"`
	Job []struct {
		Name     string `toml:"name"`
		At       string `toml:"at"`
		Channel  string `toml:"channel"`
		Timezone string `toml:"timezone"`
		Late     string `toml:"late"`
		Run      string `toml:"run"`
	} `toml:"job"`
	Observe struct {
		Every   string `toml:"every"`
		Timeout string `toml:"timeout"`
	} `toml:"observe"`
	Pager       map[string]any               `toml:"pager"`
	Panels      map[string]map[string]metric `toml:"panels"`
	Environment map[string]struct {
		After string `toml:"after"`
	} `toml:"environment"`
	Provider map[string]map[string]any            `toml:"provider"`
	Template map[string]map[string]any            `toml:"template"`
	Service  map[string]map[string]map[string]any `toml:"service"`
}

// argument is one argument of an [[action]].
type argument struct {
	Name      string   `toml:"name"`
	Type      string   `toml:"type"`
	Help      string   `toml:"help"`
	Optional  bool     `toml:"optional"`
	Default   string   `toml:"default"`
	Pattern   string   `toml:"pattern"`
	MaxLength *int     `toml:"max_length"`
	Choices   []string `toml:"choices"`
	Min       *int64   `toml:"min"`
	Max       *int64   `toml:"max"`
	Shortest  string   `toml:"shortest"`
	Longest   string   `toml:"longest"`
}
