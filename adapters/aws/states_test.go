package awsprovider

import (
	"reflect"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"quarterdeck/bot"
)

// closed fails for a value of an enum that a table has no row for, and for a row
// that is no value.
func closed[K ~string, V any](t *testing.T, rows map[K]V, values []K) {
	t.Helper()
	for _, v := range values {
		if _, found := rows[v]; !found {
			t.Errorf("%T %q has no row", v, v)
		}
	}
	for k := range rows {
		if k != "" && !slices.Contains(values, k) {
			t.Errorf("the row %q is no value of %T", k, k)
		}
	}
}

// TestEveryStateHasARow compares the tables with the SDK's own lists: one that
// grew fails until somebody decided what the new value means.
func TestEveryStateHasARow(t *testing.T) {
	closed(t, deployments, types.ServiceDeploymentStatus("").Values())
	closed(t, stages, types.ServiceDeploymentLifecycleStage("").Values())
	closed(t, hooks, types.DeploymentLifecycleHookStatus("").Values())
	closed(t, rollouts, types.DeploymentRolloutState("").Values())
	closed(t, monitors, types.ServiceDeploymentRollbackMonitorsStatus("").Values())
	closed(t, controllers, types.DeploymentControllerType("").Values())
}

// TestOneStateIsSuccess holds that SUCCESSFUL alone is, and that it is verified.
func TestOneStateIsSuccess(t *testing.T) {
	for _, status := range append(types.ServiceDeploymentStatus("").Values(), "", "SUCCEEDED", "successful") {
		s := ofDeployment(status)
		if (s.state == bot.OpSucceeded) != (status == types.ServiceDeploymentStatusSuccessful) {
			t.Errorf("%q means %s", status, s.state)
		}
		if s.state == bot.OpSucceeded && !s.verify {
			t.Errorf("%q is believed without looking at the service", status)
		}
		if s.text == "" {
			t.Errorf("%q has no text", status)
		}
	}
	if s := ofDeployment("RECONCILING"); s.state != bot.OpUnknown {
		t.Errorf("a new state means %s", s.state)
	}
}

// TestCloneCopiesEverything fills every field of a task definition that can be
// registered, and looks for it in the copy.
func TestCloneCopiesEverything(t *testing.T) {
	var from types.TaskDefinition
	fill(reflect.ValueOf(&from).Elem(), 0)
	from.ContainerDefinitions = []types.ContainerDefinition{from.ContainerDefinitions[0], from.ContainerDefinitions[0]}
	from.ContainerDefinitions[0].Name, from.ContainerDefinitions[1].Name = aws.String("web"), aws.String("sidecar")
	in, err := clone(from, []types.Tag{
		{Key: aws.String("team"), Value: aws.String("shop")}, {Key: aws.String("aws:cloudformation:stack-id"), Value: aws.String("x")},
		{Key: aws.String(tagRun), Value: aws.String("another run")},
	}, "web", "repo@sha256:1", map[string]string{tagRun: "run-1", tagPerson: "Zoë"})
	if err != nil {
		t.Fatal(err)
	}
	got, want := reflect.ValueOf(*in), reflect.ValueOf(from)
	for i := range got.NumField() {
		f := got.Type().Field(i)
		if !f.IsExported() || f.Name == "Tags" || f.Name == "InferenceAccelerators" || f.Name == "ContainerDefinitions" {
			continue
		}
		if source := want.FieldByName(f.Name); !source.IsValid() || !reflect.DeepEqual(source.Interface(), got.Field(i).Interface()) {
			t.Errorf("%s is not copied", f.Name)
		}
	}
	changed := in.ContainerDefinitions[0]
	if aws.ToString(changed.Image) != "repo@sha256:1" {
		t.Errorf("the image is %q", aws.ToString(changed.Image))
	}
	changed.Image = from.ContainerDefinitions[0].Image
	if !reflect.DeepEqual(changed, from.ContainerDefinitions[0]) || !reflect.DeepEqual(in.ContainerDefinitions[1], from.ContainerDefinitions[1]) {
		t.Error("the containers are not as they were")
	}
	tags := map[string]string{}
	for _, tag := range in.Tags {
		tags[*tag.Key] = *tag.Value
	}
	if want := map[string]string{tagRun: "run-1", tagPerson: "Zo_", "team": "shop"}; !reflect.DeepEqual(tags, want) {
		t.Errorf("the tags are %v, want %v", tags, want)
	}
	if _, err := clone(from, nil, "wbe", "x", nil); bot.KindOf(err) != bot.NotFound {
		t.Errorf("a container that is not there gives %v", err)
	}
}

// fill sets every field to something that is not its zero value.
func fill(v reflect.Value, depth int) {
	if depth > 6 || !v.CanSet() {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(7)
	}
}
