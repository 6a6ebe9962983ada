package config

import "reflect"

// FileType is the structure of the file, for tests that enumerate its keys.
var FileType = reflect.TypeOf(file{})

// GuardType is the structure of a guard table.
var GuardType = reflect.TypeOf(guardTable{})

// MetricType is the structure of one metric of a set of panels.
var MetricType = reflect.TypeOf(metric{})

// MetricsType is the structure of what of a metrics table is the bot's own.
var MetricsType = reflect.TypeOf(metrics{})

// BoundsType is the structure of what a scale table allows.
var BoundsType = reflect.TypeOf(bounds{})
