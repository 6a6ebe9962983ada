package fakeaws

import "slices"

// Target is what Application Auto Scaling knows of a service.
type Target struct {
	Min, Max  int
	Suspended bool
}

// Autoscale registers a service of a cluster.
func (s *Server) Autoscale(cluster, name string, t Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.targets["service/"+cluster+"/"+name] = t
}

func (s *Server) describeScalableTargets(_ caller, body []byte) (any, error) {
	in, err := decode[struct {
		ServiceNamespace string
		ResourceIds      []string
	}](body)
	if err != nil {
		return nil, err
	}
	if in.ServiceNamespace != "ecs" {
		return nil, refuse("ValidationException", "serviceNamespace")
	}
	list := []any{}
	for id, t := range s.targets {
		if slices.Contains(in.ResourceIds, id) {
			list = append(list, map[string]any{"ResourceId": id, "MinCapacity": t.Min, "MaxCapacity": t.Max, "SuspendedState": map[string]bool{
				"DynamicScalingInSuspended": t.Suspended, "DynamicScalingOutSuspended": t.Suspended, "ScheduledScalingSuspended": t.Suspended,
			}})
		}
	}
	return map[string]any{"ScalableTargets": list}, nil
}
