package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/ingest"
	"taxilake/lakekit/server"
	"taxilake/lakekit/settings"
)

// batchSteps are the failpoints that every batch with a dead letter passes.
var batchSteps = []string{"offsets", "dead-letter-file", "dead-letter-commit", "data-file", "data-commit", "commits"}

// malformed are records that are no trips. None has a key, by which the verdict
// would take them for one.
var malformed = []string{`not JSON`, `{"fare_amount":"a lot"}`, `null`, `{"passenger_count":1`}

func kill(s *site) error {
	if err := s.stream(); err != nil {
		return err
	}
	t, err := s.traffic(s.options.Records / 10)
	if err != nil {
		return err
	}
	if _, err := s.lab.Send(malformed[0]); err != nil { // makes the dead-letter table
		return err
	}
	if err := s.finished(t); err != nil {
		return err
	}
	if err := s.killed(settings.Workshop); err != nil {
		return err
	}
	points := []string{"during-read"}
	for _, step := range batchSteps {
		points = append(points, "before-"+step, "during-"+step, "after-"+step)
	}
	for _, point := range points {
		if err := s.killAt(point); err != nil {
			return err
		}
	}
	if err := s.up(); err != nil {
		return err
	}
	s.say("the server was killed at %d points of a batch, with records coming", len(points))
	if t, err = s.traffic(s.options.Records * 9 / 10); err != nil {
		return err
	}
	return s.produced(t)
}

// killAt has the server kill itself at a point, in a batch of traffic and poison.
func (s *site) killAt(point string) error {
	died, err := s.upArmed(point)
	if err != nil {
		return err
	}
	if !died {
		// Either call may end with the server: that is the point.
		_, _ = s.lab.StartTraffic(lakekit.TrafficOptions{Rate: s.options.Rate})
		_, _ = s.lab.Send(malformed[0])
		if err := s.until("the server dies at "+point, func() (bool, error) { return s.status(settings.Workshop).PID == 0, nil }); err != nil {
			return err
		}
	}
	s.say("kill -9 of the server %-26s %9s rows in the table", strings.Replace(point, "-", " ", 1), s.rows())
	return nil
}

func broker(s *site) error { return s.breakUnderLoad(settings.Broker) }

func store(s *site) error { return s.breakUnderLoad(settings.Store) }

// breakUnderLoad kills a service twice, and freezes it, while records flow.
func (s *site) breakUnderLoad(role settings.Role) error {
	if err := s.stream(); err != nil {
		return err
	}
	t, err := s.traffic(s.options.Records)
	if err != nil {
		return err
	}
	for i := range int64(2) {
		if err := s.reach((i + 1) * s.options.Records / 5); err != nil {
			return err
		}
		if err := s.killedAndBack(role); err != nil {
			return err
		}
	}
	if err := s.reach(s.options.Records * 3 / 5); err != nil {
		return err
	}
	if err := s.frozen(role, 2*time.Second); err != nil {
		return err
	}
	return s.produced(t)
}

func (s *site) killedAndBack(role settings.Role) error {
	if err := s.killed(role); err != nil {
		return err
	}
	if err := s.waiting(); err != nil {
		return err
	}
	return s.up()
}

func poison(s *site) error {
	if err := s.stream(); err != nil {
		return err
	}
	t, err := s.traffic(s.options.Records)
	if err != nil {
		return err
	}
	sent := 0
	for i := range int64(10) {
		if err := s.reach(i * s.options.Records / 10); err != nil {
			return err
		}
		if _, err := s.lab.Send(malformed...); err != nil {
			return err
		}
		sent += len(malformed)
	}
	s.say("%d malformed records were sent, such as %s and %s", sent, malformed[0], malformed[1])
	if err := s.finished(t); err != nil {
		return err
	}
	reasons, err := s.lab.SQL("select reason, count(*) as records from taxi_record_dead_letters group by 1 order by 2 desc")
	if err != nil {
		return err
	}
	for i, reason := range reasons.Strings("reason") {
		s.say("  dead letters: %3d  %s", reasons.Ints("records")[i], reason)
	}
	return nil
}

func retention(s *site) error {
	if err := s.stream(); err != nil {
		return err
	}
	t, err := s.traffic(s.options.Records / 2)
	if err != nil {
		return err
	}
	if err := s.finished(t); err != nil {
		return err
	}
	taken, err := s.committed()
	if err != nil {
		return err
	}
	if _, err := s.lab.Stream().Stop(); err != nil {
		return err
	}
	s.say("the stream is stopped")
	if t, err = s.traffic(s.options.Records / 2); err != nil {
		return err
	}
	if err := s.produced(t); err != nil {
		return err
	}
	if err := s.removeUnread(taken, s.options.Records/20); err != nil {
		return err
	}
	if err := s.refused(); err != nil {
		return err
	}
	no, o := false, s.streamOptions()
	o.FailOnDataLoss = &no
	if _, err := s.lab.StartStream(o); err != nil {
		return err
	}
	s.say("the stream goes on with failOnDataLoss=false")
	if err := s.drained(); err != nil {
		return err
	}
	return s.tellGap()
}

// removeUnread takes records from the beginning of what is unread of each
// partition, as retention does.
func (s *site) removeUnread(taken map[int32]int64, records int64) error {
	if err := s.read(); err != nil {
		return err
	}
	admin, err := s.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	topic := s.config().Topic
	var cuts []confluent.TopicPartition
	for partition, offset := range taken {
		cuts = append(cuts, confluent.TopicPartition{Topic: &topic, Partition: partition, Offset: confluent.Offset(offset + records)})
		for gone := offset; gone < offset+records; gone++ {
			if at := (place{partition, gone}); s.ledger[at] != "" {
				delete(s.ledger, at)
				s.removed++
			}
		}
	}
	result, err := admin.DeleteRecords(s.ctx, cuts)
	if err != nil {
		return err
	}
	for _, cut := range result.DeleteRecordsResults {
		if cut.TopicPartition.Error != nil {
			return cut.TopicPartition.Error
		}
	}
	s.say("%s records that were not read yet are removed from the topic, as retention does", number(s.removed))
	return nil
}

func (s *site) admin() (*confluent.AdminClient, error) {
	config := confluent.ConfigMap{"enable.metrics.push": false}
	for name, value := range s.kafka() {
		config[name] = value
	}
	return confluent.NewAdminClient(&config)
}

// refused starts the stream, which must end because of the gap.
func (s *site) refused() error {
	if err := s.stream(); err != nil {
		return err
	}
	return s.until("the stream refuses to go on", func() (bool, error) {
		status, err := s.lab.Stream().Status()
		if err != nil || status.Error == "" || status.IsActive {
			return false, err
		}
		s.say("the stream refuses to go on: %s", status.Error)
		if !strings.Contains(status.Error, ingest.ErrDataLoss.Error()) {
			return false, errors.New("it ended for another reason")
		}
		return true, nil
	})
}

// tellGap shows the commits that name what is missing.
func (s *site) tellGap() error {
	history, err := s.lab.History(lakekit.HistoryOptions{})
	if err != nil {
		return err
	}
	told := false
	for _, entry := range slices.Backward(history) { // the oldest first
		if entry.UserMetadata != "" {
			s.say("the commit of version %d says: %s", entry.Version, entry.UserMetadata)
			told = true
		}
	}
	if !told {
		return errors.New("no commit names the gap")
	}
	return nil
}

func partitions(s *site) error {
	if err := s.stream(); err != nil {
		return err
	}
	admin, err := s.admin()
	if err != nil {
		return err
	}
	defer admin.Close()
	for i, count := range []int{5, 8} {
		t, err := s.traffic(s.options.Records / 3)
		if err != nil {
			return err
		}
		if err := s.reach(int64(i)*s.options.Records/3 + s.options.Records/10); err != nil {
			return err
		}
		result, err := admin.CreatePartitions(s.ctx, []confluent.PartitionsSpecification{{Topic: s.config().Topic, IncreaseTo: count}})
		if err != nil {
			return err
		}
		if result[0].Error.Code() != confluent.ErrNoError {
			return result[0].Error
		}
		s.say("the topic has %d partitions now", count)
		if err := s.produced(t); err != nil {
			return err
		}
	}
	t, err := s.traffic(s.options.Records / 3) // a producer that knows all of them
	if err != nil {
		return err
	}
	if err := s.finished(t); err != nil {
		return err
	}
	ends, err := s.committed()
	if err != nil {
		return err
	}
	s.say("the stream reads %d partitions", len(ends))
	return nil
}

func two(s *site) error {
	if err := s.stream(); err != nil {
		return err
	}
	t, err := s.traffic(s.options.Records)
	if err != nil {
		return err
	}
	if err := s.reach(s.options.Records / 10); err != nil {
		return err
	}
	second, err := s.second()
	if err != nil {
		return err
	}
	defer second.Stop(context.WithoutCancel(s.ctx))
	s.say("a second server streams from the same topic, with the same checkpoint, into the same table")
	loser, reason := "", ""
	if err := s.until("one of the two gives way", func() (bool, error) {
		status, err := s.lab.Stream().Status()
		if err != nil {
			return false, err
		}
		if status.Error != "" && !status.IsActive {
			loser, reason = "first", status.Error
		}
		if err := second.Err(); err != nil {
			loser, reason = "second", err.Error()
		}
		return loser != "", nil
	}); err != nil {
		return err
	}
	s.say("the %s gives way: %s", loser, reason)
	if !strings.Contains(reason, ingest.ErrConcurrentRun.Error()) {
		return fmt.Errorf("it ended for another reason: %s", reason)
	}
	if loser == "first" {
		if err := second.Stop(s.ctx); err != nil {
			return err
		}
		s.say("the second is stopped, and the first started again")
		if err := s.stream(); err != nil {
			return err
		}
	}
	return s.produced(t)
}

// second is the same streaming query in this process.
func (s *site) second() (*ingest.Query, error) {
	bucket, err := server.OpenBucket(s.config())
	if err != nil {
		return nil, err
	}
	folder := func(uri string) blob.Bucket {
		return blob.Prefix(bucket, strings.TrimPrefix(uri, "oss://"+s.config().OSS.Bucket+"/"))
	}
	return ingest.Start(s.ctx, ingest.Options{
		Name: "second", Kafka: s.kafka(), Subscribe: []string{s.config().Topic}, StartingOffsets: "earliest",
		Trigger: ingest.ProcessingTime(10 * time.Millisecond),
		Table:   folder(s.config().Table), Checkpoint: folder(s.config().Checkpoint), DeadLetters: folder(s.config().DeadLetters),
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

func compaction(s *site) error {
	if err := s.stream(); err != nil {
		return err
	}
	t, err := s.traffic(s.options.Records)
	if err != nil {
		return err
	}
	for i := range int64(4) {
		if err := s.reach((i + 1) * s.options.Records / 5); err != nil {
			return err
		}
		optimized, err := s.lab.Optimize(lakekit.OptimizeOptions{})
		if err != nil {
			return err
		}
		if _, err := s.lab.Vacuum(lakekit.VacuumOptions{}); err != nil {
			return err
		}
		s.say("OPTIMIZE: %d files became %d, while the stream goes on; VACUUM", optimized.NumRemovedFiles, optimized.NumAddedFiles)
	}
	if err := s.finished(t); err != nil {
		return err
	}
	detail, err := s.lab.DescribeTable()
	if err != nil {
		return err
	}
	for _, version := range []int64{detail.Version / 2, detail.Version} {
		if _, err := s.lab.Restore(lakekit.RestoreOptions{Version: &version}); err != nil {
			return err
		}
		s.say("RESTORE to version %d: %s rows", version, s.rows())
	}
	if t, err = s.traffic(s.options.Records / 10); err != nil {
		return err
	}
	if err := s.finished(t); err != nil {
		return err
	}
	hours := 0.0
	vacuumed, err := s.lab.Vacuum(lakekit.VacuumOptions{RetentionHours: &hours, Conf: map[string]string{"spark.databricks.delta.retentionDurationCheck.enabled": "false"}})
	if err != nil {
		return err
	}
	s.say("VACUUM RETAIN 0 HOURS deleted %d files that the newest version does not need", vacuumed.NumFiles)
	return nil
}
