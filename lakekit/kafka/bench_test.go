package kafka_test

import (
	"bytes"
	"io"
	"math"
	"testing"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/kafka"
	"taxilake/lakekit/taxi"
)

// taxiSize is about the length of a taxi record as JSON.
const taxiSize = 210

// BenchmarkProduce sends records as fast as it goes, to set against the bare
// loop with the same settings.
func BenchmarkProduce(b *testing.B) {
	c := startBroker(b)
	createTopic(b, c, "produce", 3)
	b.Run("bare", func(b *testing.B) {
		b.SetBytes(taxiSize)
		bareProduce(b, c, "produce", b.N)
	})
	b.Run("lakekit", func(b *testing.B) {
		b.SetBytes(taxiSize)
		if _, err := kafka.Produce(b.Context(), c, newNumbered(b.N, taxiSize), kafka.ProduceOptions{Topic: "produce"}); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("ratio", func(b *testing.B) { // time of lakekit / time of bare, in turns on the same machine
		const records = 500_000
		var bare, ours time.Duration
		for b.Loop() {
			start := time.Now()
			bareProduce(b, c, "produce", records)
			bare += time.Since(start)
			start = time.Now()
			if _, err := kafka.Produce(b.Context(), c, newNumbered(records, taxiSize), kafka.ProduceOptions{Topic: "produce"}); err != nil {
				b.Fatal(err)
			}
			ours += time.Since(start)
		}
		b.ReportMetric(ours.Seconds()/bare.Seconds(), "ratio")
		b.ReportMetric(float64(b.N)*records/ours.Seconds(), "records/s")
	})
}

// BenchmarkProduceTraffic sends generated trips, in turn with the same messages
// made before. "of-memory" is the ratio of their rates.
func BenchmarkProduceTraffic(b *testing.B) {
	const records = 1_000_000
	c := startBroker(b)
	createTopic(b, c, "traffic", 3)
	generator, err := taxi.NewGenerator(1)
	if err != nil {
		b.Fatal(err)
	}
	made := &premade{}
	for rows := taxi.NewRows(generator, 0, records); ; {
		key, value, err := rows.Next()
		if err == io.EOF {
			break
		}
		made.keys, made.values = append(made.keys, bytes.Clone(key)), append(made.values, bytes.Clone(value))
	}
	send := func(source kafka.Source) time.Duration {
		start := time.Now()
		if _, err := kafka.Produce(b.Context(), c, source, kafka.ProduceOptions{Topic: "traffic"}); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	var generated, memory time.Duration
	for b.Loop() {
		made.next = 0
		memory += send(made)
		generated += send(taxi.NewRows(generator, 0, records))
	}
	b.ReportMetric(memory.Seconds()/generated.Seconds(), "of-memory")
	b.ReportMetric(float64(b.N)*records/generated.Seconds(), "records/s")
}

// premade are messages in memory.
type premade struct {
	keys, values [][]byte
	next         int
}

func (p *premade) Next() (key, value []byte, err error) {
	if p.next == len(p.keys) {
		return nil, nil, io.EOF
	}
	p.next++
	return p.keys[p.next-1], p.values[p.next-1], nil
}

// bareProduce is the loop of confluent's examples, with delivery reports.
func bareProduce(b *testing.B, c kafka.Config, topic string, n int) {
	p, err := confluent.NewProducer(c.Producer(nil))
	if err != nil {
		b.Fatal(err)
	}
	go func() {
		for range p.Logs() {
		}
	}()
	delivered := make(chan int)
	go func() {
		count := 0
		for e := range p.Events() {
			if m, ok := e.(*confluent.Message); ok && m.TopicPartition.Error == nil {
				if count++; count == n {
					break
				}
			}
		}
		delivered <- count
	}()
	source := newNumbered(n, taxiSize)
	for range n {
		key, value, _ := source.Next()
		m := &confluent.Message{TopicPartition: confluent.TopicPartition{Topic: &topic, Partition: confluent.PartitionAny}, Key: key, Value: value}
		for p.Produce(m, nil) != nil {
			time.Sleep(time.Millisecond)
		}
	}
	<-delivered
	p.Close()
}

// timed notes when each record is asked for.
type timed struct {
	*numbered
	at []time.Time
}

func (s *timed) Next() (key, value []byte, err error) {
	s.at = append(s.at, time.Now())
	return s.numbered.Next()
}

// BenchmarkPacer sends 10,000 records a second for 30 s: the error of the rate,
// the longest gap, and the most records within 20 ms as time at the rate.
func BenchmarkPacer(b *testing.B) {
	const rate, seconds, window = 10_000, 30, 20 * time.Millisecond
	c := startBroker(b)
	createTopic(b, c, "paced", 3)
	for b.Loop() {
		source := &timed{newNumbered(rate*seconds, taxiSize), make([]time.Time, 0, rate*seconds+1)}
		p, err := kafka.Produce(b.Context(), c, source, kafka.ProduceOptions{Topic: "paced", Rate: rate})
		if err != nil {
			b.Fatal(err)
		}
		at := source.at[:rate*seconds]
		var gap time.Duration
		most, from := 0, 0
		for i := 1; i < len(at); i++ {
			gap = max(gap, at[i].Sub(at[i-1]))
			for at[i].Sub(at[from]) > window {
				from++
			}
			most = max(most, i-from+1)
		}
		achieved := float64(len(at)) / at[len(at)-1].Sub(at[0]).Seconds()
		b.ReportMetric(achieved, "records/s")
		b.ReportMetric(100*math.Abs(achieved/rate-1), "%error")
		b.ReportMetric(float64(gap.Microseconds())/1000, "ms-gap")
		b.ReportMetric(float64(most)/rate*1000, "ms-in-20ms")
		b.ReportMetric(p.LatencyP50Ms, "ms-p50")
		b.ReportMetric(p.LatencyP99Ms, "ms-p99")
	}
}
