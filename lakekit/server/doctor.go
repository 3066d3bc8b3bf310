package server

import (
	"net/http"

	"taxilake/lakekit/api"
	"taxilake/lakekit/kafka"
	"taxilake/lakekit/oss"
)

// diagnoseKafka goes from the settings to a record that may be written, step by
// step, and ends with the first that fails.
func (s *Server) diagnoseKafka(r *http.Request) ([]api.Check, error) {
	checks := kafka.Diagnose(r.Context(), s.kafka, s.settings.Topic)
	for i := range checks {
		checks[i].Name = "Kafka: " + checks[i].Name
	}
	return checks, nil
}

// diagnoseStore does the same for the object store, up to put-if-absent, on which
// every commit of a Delta table rests.
func (s *Server) diagnoseStore(r *http.Request) ([]api.Check, error) {
	// A bucket that is missing only because nothing was written yet is no fault,
	// and any other fault is found again below, step by step.
	_ = s.prepareStore(r.Context())
	var checks []api.Check
	for _, step := range oss.Diagnose(r.Context(), oss.ConfigOf(s.settings.OSS), s.settings.Folder()) {
		step.Name = "object store: " + step.Name
		checks = append(checks, api.Check(step))
	}
	return checks, nil
}
