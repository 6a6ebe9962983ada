package audit

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"quarterdeck/bot"
	"quarterdeck/bot/store"
)

// The projections that Export writes for other programs, an object a line. They
// are for looking at, not for verifying: VerifyExport takes JSONL alone.
const (
	// OCSF is the Open Cybersecurity Schema Framework, class API Activity
	// (6003), version 1.6.0: https://schema.ocsf.io/1.6.0/classes/api_activity
	OCSF Format = "ocsf"
	// CloudEvents is version 1.0 in its JSON format:
	// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
	CloudEvents Format = "cloudevents"
)

const ocsfVersion = "1.6.0"

type object = map[string]any

// ocsf gives the record as an event of class API Activity. What has no place
// there is under unmapped.
func ocsf(log string, s store.Sealed, r bot.Record) object {
	activity, activityName := 99, string(r.Kind)
	switch {
	case r.Read:
		activity, activityName = 2, "Read"
	case r.Run != 0 && (r.Kind == bot.Started || ends(r)):
		activity, activityName = 3, "Update"
	}
	status, statusName := 0, "Unknown"
	switch {
	case r.Kind == bot.SucceededKind:
		status, statusName = 1, "Success"
	case r.Error != "" || r.Kind == bot.FailedKind || r.Kind == bot.DeniedRecord:
		status, statusName = 2, "Failure"
	case r.Kind != bot.UnknownKind:
		status, statusName = 99, string(r.Kind)
	}
	severity, severityName := 1, "Informational"
	switch r.Kind {
	case bot.DeniedRecord:
		severity, severityName = 2, "Low"
	case bot.OverriddenKind, bot.FailedKind:
		severity, severityName = 3, "Medium"
	case bot.UnknownKind:
		severity, severityName = 4, "High"
	}
	operation := orElse(r.Verb, string(r.Kind))
	api := object{"operation": operation, "service": object{"name": "quarterdeck"}}
	if r.Request != "" {
		api["request"] = object{"uid": r.Request}
	}
	user := object{"name": Actor(r)}
	if r.Account != "" {
		user["uid"] = string(r.Account)
	}
	meta := object{"version": ocsfVersion, "uid": fmt.Sprintf("%s:%d", log, s.Seq), "sequence": s.Seq, "log_name": "audit", "event_code": string(r.Kind),
		"original_time": r.At.UTC().Format(time.RFC3339Nano), "product": object{"name": "Quarterdeck", "vendor_name": "Quarterdeck"}}
	if r.Run != 0 {
		meta["correlation_uid"] = fmt.Sprintf("run/%d", r.Run)
	}
	e := object{
		"category_uid": 6, "category_name": "Application Activity", "class_uid": 6003, "class_name": "API Activity",
		"activity_id": activity, "activity_name": activityName, "type_uid": 600300 + activity, "type_name": "API Activity: " + activityName,
		"time": r.At.UnixMilli(), "severity_id": severity, "severity": severityName, "status_id": status, "status": statusName,
		"message": Say(r), "metadata": meta, "actor": object{"user": user}, "api": api,
		"src_endpoint": object{"name": orElse(string(r.Channel), "quarterdeck")},
		"unmapped": object{"hash": s.Hash, "standing": string(r.Standing), "permission": string(r.Permission), "rule": r.Rule, "spec": r.Spec,
			"detail": r.Detail, "text": r.Text, "erased": r.Erased},
	}
	if why := value(r, "result"); why != "" {
		e["status_detail"] = why
	}
	var resources []object
	for _, res := range r.Resources {
		kind, _, _ := strings.Cut(string(res), ":")
		resources = append(resources, object{"uid": string(res), "type": kind})
	}
	if len(resources) > 0 {
		e["resources"] = resources
	}
	return e
}

// cloudEvent gives the record as an event whose data is what was hashed, the
// values beside it, and the hash.
func cloudEvent(log string, s store.Sealed, r bot.Record) object {
	e := object{
		"specversion": "1.0", "id": strconv.FormatInt(s.Seq, 10), "source": "urn:quarterdeck:log:" + log,
		"type": "quarterdeck.audit." + string(s.Kind) + ".v1", "time": s.At.UTC().Format(time.RFC3339Nano),
		"datacontenttype": "application/json",
		"sequence":        fmt.Sprintf("%019d", s.Seq), // the specification's extension, ordered as text
		"data":            object{"hash": s.Hash, "record": json.RawMessage(s.Body), "text": r.Text, "erased": r.Erased},
	}
	switch {
	case r.Run != 0:
		e["subject"] = fmt.Sprintf("run/%d", r.Run)
	case r.Target != "":
		e["subject"] = "target/" + r.Target
	}
	return e
}

// project gives the record in a projection. One that does not decode is an
// Error: there is nothing to show of it.
func project(f Format, log string, s store.Sealed) (object, error) {
	r, err := Decode(s)
	if err != nil {
		return nil, err
	}
	r.Seq = s.Seq
	if f == OCSF {
		return ocsf(log, s, r), nil
	}
	return cloudEvent(log, s, r), nil
}
