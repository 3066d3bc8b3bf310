package ingest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/broker"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/kafka"
	"taxilake/lakekit/taxi"
)

// The parts of a benchmark run in processes of their own, so that the kernel
// tells the CPU time and the memory of each.
const (
	benchRole    = "INGEST_BENCH_ROLE"
	benchServers = "INGEST_BENCH_SERVERS"
	benchDir     = "INGEST_BENCH_DIR"
	benchRecords = "INGEST_BENCH_RECORDS"
)

const benchPartitions = 3

// TestBenchPart is what the processes of a benchmark run.
func TestBenchPart(t *testing.T) {
	role, servers, dir := os.Getenv(benchRole), os.Getenv(benchServers), os.Getenv(benchDir)
	records, _ := strconv.ParseInt(os.Getenv(benchRecords), 10, 64)
	switch role {
	case "":
		t.Skip("for benchmarks only")
	case "broker":
		err := broker.Run(t.Context(), broker.Options{Dir: dir, Ready: func(addr string) { fmt.Println(addr) }})
		t.Fatal(err)
	case "bare":
		drainBare(t, servers, records)
	case "query":
		drainQuery(t, servers, dir, records)
	default:
		t.Fatalf("no part %q", role)
	}
}

func benchPart(role, servers, dir string, records int64) *exec.Cmd {
	part := exec.Command(os.Args[0], "-test.run", "^TestBenchPart$", "-test.timeout", "0")
	if profile := os.Getenv("INGEST_BENCH_PROFILE"); profile != "" && role == "query" {
		part.Args = append(part.Args, "-test.cpuprofile", profile, "-test.memprofile", profile+".heap", "-test.memprofilerate", "65536")
	}
	part.Env = append(os.Environ(), benchRole+"="+role, benchServers+"="+servers, benchDir+"="+dir, benchRecords+"="+strconv.FormatInt(records, 10))
	return part
}

// spent is what a process took.
type spent struct {
	wall  time.Duration
	first time.Duration // until the table had rows
	cpu   time.Duration
	rss   int64 // most bytes resident
}

// runPart runs a process that fills the table in dir, if any.
func runPart(t testing.TB, part *exec.Cmd, dir string) (s spent) {
	t.Helper()
	log := new(strings.Builder)
	part.Stderr = log
	began := time.Now()
	if err := part.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- part.Wait() }()
	commit := filepath.Join(dir, tablePrefix, "_delta_log", "00000000000000000001.json")
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v: %s", err, log)
			}
			s.wall = time.Since(began)
			s.cpu = part.ProcessState.UserTime() + part.ProcessState.SystemTime()
			s.rss = part.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
			return s
		case <-time.After(5 * time.Millisecond):
			if _, err := os.Stat(commit); err == nil && s.first == 0 {
				s.first = time.Since(began)
			}
		}
	}
}

// BenchmarkDrain drains a topic of taxi records into a Delta table on the local
// disk, in turn with a bare consumer of the same settings that only counts;
// broker and consumers share the machine. "of-bare-rate" and "of-bare-cpu" are
// the query's records per second and CPU time per record over the bare
// consumer's. INGEST_BENCH_RECORDS sets how many records.
func BenchmarkDrain(b *testing.B) {
	records := recordsOf(b, 5_000_000)
	servers := benchBroker(b)
	benchTopic(b, servers)
	if _, err := kafka.Produce(b.Context(), kafka.Config{"bootstrap.servers": servers}, taxiRows(b, records), kafka.ProduceOptions{Topic: testTopic}); err != nil {
		b.Fatal(err)
	}
	var query, bare spent
	for b.Loop() {
		bare = bare.and(runPart(b, benchPart("bare", servers, "", records), ""))
		dir := b.TempDir()
		query = query.and(runPart(b, benchPart("query", servers, dir, records), dir))
	}
	drained := float64(b.N) * float64(records)
	b.ReportMetric(drained/query.wall.Seconds(), "records/s")
	b.ReportMetric(bare.wall.Seconds()/query.wall.Seconds(), "of-bare-rate")
	b.ReportMetric(query.cpu.Seconds()/bare.cpu.Seconds(), "of-bare-cpu")
	b.ReportMetric(1e6*query.cpu.Seconds()/drained, "cpu-s/million")
	b.ReportMetric(float64(query.rss)/(1<<20), "MiB-resident")
}

// BenchmarkSpark drains the same topic with our query and with Spark Structured
// Streaming, in turn: batches of 500,000 records, the same schema and codec. Both
// begin with the start of their process. "spark/ours" is Spark's time over ours,
// also to the first rows in the table, and its CPU time over ours.
func BenchmarkSpark(b *testing.B) {
	engines := os.Getenv("LAKEKIT_REAL_ENGINES")
	if engines == "" {
		b.Skip("LAKEKIT_REAL_ENGINES is not set; make bench-spark sets it")
	}
	records := recordsOf(b, 5_000_000)
	servers := benchBroker(b)
	benchTopic(b, servers)
	if _, err := kafka.Produce(b.Context(), kafka.Config{"bootstrap.servers": servers}, taxiRows(b, records), kafka.ProduceOptions{Topic: testTopic}); err != nil {
		b.Fatal(err)
	}
	var ours, sparks spent
	for b.Loop() {
		dir := b.TempDir()
		ours = ours.and(runPart(b, benchPart("query", servers, dir, records), dir))
		oursSum := sumOfFares(b, dir, records)

		dir = b.TempDir()
		benchTable(b, dir)
		part := exec.Command(filepath.Join(engines, "venv", "bin", "python"), "../interop/engines/drain_spark.py", servers, testTopic, dir)
		out := new(strings.Builder)
		part.Stdout = out
		theirs := runPart(b, part, dir)
		// The kernel tells Python's share only: the JVM is a process of its own.
		var jvm struct{ CPU, RSS int64 }
		if err := json.Unmarshal([]byte(out.String()), &jvm); err != nil {
			b.Fatal(err, out)
		}
		theirs.cpu, theirs.rss = theirs.cpu+time.Duration(jvm.CPU), theirs.rss+jvm.RSS
		sparks = sparks.and(theirs)
		if sum := sumOfFares(b, dir, records); sum != oursSum {
			b.Fatalf("fares are %v in Spark's table, %v in ours", sum, oursSum)
		}
	}
	drained := float64(b.N) * float64(records)
	b.ReportMetric(drained/ours.wall.Seconds(), "records/s")
	b.ReportMetric(drained/sparks.wall.Seconds(), "spark-records/s")
	b.ReportMetric(sparks.wall.Seconds()/ours.wall.Seconds(), "spark/ours-time")
	b.ReportMetric(sparks.first.Seconds()/ours.first.Seconds(), "spark/ours-first-rows")
	b.ReportMetric(sparks.cpu.Seconds()/ours.cpu.Seconds(), "spark/ours-cpu")
	b.ReportMetric(1e6*ours.cpu.Seconds()/drained, "cpu-s/million")
	b.ReportMetric(1e6*sparks.cpu.Seconds()/drained, "spark-cpu-s/million")
	b.ReportMetric(float64(ours.rss)/(1<<20), "MiB-resident")
	b.ReportMetric(float64(sparks.rss)/(1<<20), "spark-MiB-resident")
}

// sumOfFares checks the number of rows, and adds up their fares in cents.
func sumOfFares(t testing.TB, dir string, records int64) (cents int64) {
	t.Helper()
	store, err := blob.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := openTable(t, store, tablePrefix).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var rows int64
	for batch, err := range snapshot.Scan(t.Context(), delta.ScanOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		rows += batch.NumRows()
		for _, fare := range batch.Column(1).(*array.Float64).Float64Values() {
			cents += int64(math.Round(fare * 100))
		}
	}
	if rows != records {
		t.Fatalf("%d rows, want %d", rows, records)
	}
	return cents
}

func recordsOf(t testing.TB, otherwise int64) int64 {
	t.Helper()
	text := os.Getenv(benchRecords)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (s spent) and(other spent) spent {
	return spent{s.wall + other.wall, s.first + other.first, s.cpu + other.cpu, max(s.rss, other.rss)}
}

// BenchmarkFreshness sends 10,000 records a second and measures how long after
// the n-th was sent the table has n rows, with the default trigger.
func BenchmarkFreshness(b *testing.B) {
	const rate, seconds, every = 10_000, 20, 5 * time.Millisecond
	servers := benchBroker(b)
	benchTopic(b, servers)
	for b.Loop() {
		store := benchTable(b, b.TempDir())
		o := queryOptions(servers).on(store)
		o.StartingOffsets, o.Trigger = "latest", Trigger{}
		q, err := Start(b.Context(), o)
		if err != nil {
			b.Fatal(err)
		}
		sent := &sentAt{Rows: taxiRows(b, rate*seconds)}
		produced := make(chan error, 1)
		go func() {
			_, err := kafka.Produce(b.Context(), kafka.Config{"bootstrap.servers": servers}, sent, kafka.ProduceOptions{Topic: testTopic, Rate: rate})
			produced <- err
		}()
		seen := rowsAt(b, store, rate*seconds, every)
		if err := <-produced; err != nil {
			b.Fatal(err)
		}
		if err := q.Stop(b.Context()); err != nil {
			b.Fatal(err)
		}
		late := make([]time.Duration, len(sent.at))
		for i := range late {
			late[i] = seen[i].Sub(sent.at[i])
		}
		slices.Sort(late)
		b.ReportMetric(late[len(late)/2].Seconds(), "s-p50")
		b.ReportMetric(late[len(late)*99/100].Seconds(), "s-p99")
		b.ReportMetric(late[len(late)-1].Seconds(), "s-max")
	}
}

// sentAt notes when each record was handed over for sending.
type sentAt struct {
	*taxi.Rows
	at []time.Time
}

func (s *sentAt) Next() (key, value []byte, err error) {
	if key, value, err = s.Rows.Next(); err == nil {
		s.at = append(s.at, time.Now())
	}
	return key, value, err
}

// rowsAt tells when a reader of the table first saw so many rows.
func rowsAt(t testing.TB, store blob.Bucket, want int, every time.Duration) []time.Time {
	t.Helper()
	table := openTable(t, store, tablePrefix)
	var seen []time.Time
	for len(seen) < want {
		snapshot, err := table.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for now := time.Now(); int64(len(seen)) < snapshot.NumRecords(); {
			seen = append(seen, now)
		}
		time.Sleep(every)
	}
	return seen
}

func benchBroker(t testing.TB) (servers string) {
	t.Helper()
	part := benchPart("broker", "", t.TempDir(), 0)
	part.Stderr = os.Stderr
	out, err := part.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := part.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		part.Process.Kill()
		part.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the broker's process did not start: %v", err)
	}
	return strings.TrimSpace(line)
}

func benchTopic(t testing.TB, servers string) {
	t.Helper()
	admin, err := kafka.NewAdmin(kafka.Config{"bootstrap.servers": servers})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.CreateTopic(t.Context(), kafka.TopicSpec{Name: testTopic, Partitions: benchPartitions, ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
}

func taxiRows(t testing.TB, records int64) *taxi.Rows {
	t.Helper()
	generator, err := taxi.NewGenerator(1)
	if err != nil {
		t.Fatal(err)
	}
	return taxi.NewRows(generator, 0, records)
}

func drainBare(t testing.TB, servers string, records int64) {
	t.Helper()
	consumer, err := confluent.NewConsumer(kafka.Config{"bootstrap.servers": servers}.Consumer(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	var assignment []confluent.TopicPartition
	for partition := range int32(benchPartitions) {
		topic := testTopic
		assignment = append(assignment, confluent.TopicPartition{Topic: &topic, Partition: partition})
	}
	if err := consumer.Assign(assignment); err != nil {
		t.Fatal(err)
	}
	for n := int64(0); n < records; {
		switch event := consumer.Poll(pollMillis).(type) {
		case *confluent.Message:
			n++
		case confluent.Error:
			t.Fatal(event)
		}
	}
}

func drainQuery(t testing.TB, servers, dir string, records int64) {
	t.Helper()
	store := benchTable(t, dir)
	q, err := Start(t.Context(), queryOptions(servers).on(store))
	if err != nil {
		t.Fatal(err)
	}
	if err := q.AwaitTermination(context.Background()); err != nil {
		t.Fatal(err)
	}
	snapshot, err := openTable(t, store, tablePrefix).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := snapshot.NumRecords(); n != records {
		t.Fatalf("%d rows, want %d", n, records)
	}
}

func benchTable(t testing.TB, dir string) blob.Bucket {
	t.Helper()
	store, err := blob.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := delta.Create(t.Context(), blob.Prefix(store, tablePrefix), delta.Definition{Schema: taxiTable}); err != nil {
		t.Fatal(err)
	}
	return store
}

var taxiTable = delta.Schema{Fields: []delta.Field{
	{Name: "key", Type: delta.Timestamp, Nullable: true},
	{Name: "fare_amount", Type: delta.Double, Nullable: true},
	{Name: "pickup_datetime", Type: delta.Timestamp, Nullable: true},
	{Name: "pickup_longitude", Type: delta.Double, Nullable: true},
	{Name: "pickup_latitude", Type: delta.Double, Nullable: true},
	{Name: "dropoff_longitude", Type: delta.Double, Nullable: true},
	{Name: "dropoff_latitude", Type: delta.Double, Nullable: true},
	{Name: "passenger_count", Type: delta.Integer, Nullable: true},
}}
