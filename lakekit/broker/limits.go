package broker

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// limits bound what clients may ask of the broker.
type limits struct {
	request    int64         // bytes of a request
	login      int64         // bytes of a request before its sender has logged in
	queued     int64         // bytes of requests that all connections hold, and as many of responses
	idle       time.Duration // without a byte in or out
	conns      int64
	connsPerIP int64
}

// brokerConfig is one of Kafka's settings of a broker, with its bounds.
type brokerConfig struct {
	value, least, most int64
	set                func(*limits, int64)
}

// brokerConfigs are those of Options.Configs: names and defaults are Kafka's, except
// that Kafka has no bound on connections and queued bytes by default.
var brokerConfigs = map[string]brokerConfig{
	"socket.request.max.bytes":     {100 << 20, 1 << 10, 1 << 30, func(l *limits, v int64) { l.request = v }},
	"sasl.server.max.receive.size": {512 << 10, 1 << 10, 1 << 30, func(l *limits, v int64) { l.login = v }},
	"queued.max.request.bytes":     {256 << 20, 1 << 20, 1 << 40, func(l *limits, v int64) { l.queued = v }},
	"connections.max.idle.ms":      {600_000, 1, math.MaxInt32, func(l *limits, v int64) { l.idle = time.Duration(v) * time.Millisecond }},
	"max.connections":              {500, 1, math.MaxInt32, func(l *limits, v int64) { l.conns = v }},
	"max.connections.per.ip":       {math.MaxInt32, 1, math.MaxInt32, func(l *limits, v int64) { l.connsPerIP = v }},
}

func limitsOf(configs map[string]string) (limits, error) {
	var l limits
	for _, s := range brokerConfigs {
		s.set(&l, s.value)
	}
	for name, value := range configs {
		s, known := brokerConfigs[name]
		if !known {
			return l, fmt.Errorf("broker setting %s: unknown, known are %s", name, strings.Join(slices.Sorted(maps.Keys(brokerConfigs)), ", "))
		}
		n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		if err != nil || n < s.least || n > s.most {
			return l, fmt.Errorf("broker setting %s=%s: must be an integer from %d to %d", name, value, s.least, s.most)
		}
		s.set(&l, n)
	}
	if l.queued < l.request {
		return l, fmt.Errorf("broker setting queued.max.request.bytes=%d: must be at least socket.request.max.bytes, %d", l.queued, l.request)
	}
	return l, nil
}
