package store

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"trench/pkg/flow"
	"trench/pkg/record"
	"trench/pkg/wire"
)

// Reader answers the questions that operators ask about single records. It is safe
// for use by several goroutines.
type Reader struct {
	cfg  Config
	conn driver.Conn
}

// NewReader prepares a reader; nothing is reached before its first use.
func NewReader(cfg Config) (*Reader, error) {
	conn, err := cfg.open("default")
	if err != nil {
		return nil, err
	}
	return &Reader{cfg, conn}, nil
}

// Close ends the connections.
func (r *Reader) Close() error { return r.conn.Close() }

func (r *Reader) wrap(doing string, err error) error {
	return fmt.Errorf("clickhouse at %v: %s: %w", r.cfg.Addr, doing, explain(err))
}

// Letter is a dead letter as it is kept.
type Letter struct {
	ID string // 16 hex digits, of what it was made from
	wire.DeadLetter
	Replayed time.Time // when its record was put back on its topic, zero if never
}

// Whole returns nil when the letter holds the whole record, so that it can be made again.
func (l *Letter) Whole() error {
	switch {
	case l.Cut():
		return fmt.Errorf("%s: can not be replayed: it holds %d of the record's %d bytes, and key and headers as far as they fit", l.ID, len(l.Value), l.ValueBytes)
	case l.Partition < 0 && len(l.Value) == 0:
		return fmt.Errorf("%s: can not be replayed: the record never came to be", l.ID)
	}
	return nil
}

// LetterFilter says which dead letters are meant. What is zero does not matter.
type LetterFilter struct {
	IDs          []string // any of these
	Stage, Topic string
	Error        string    // is part of the error text, in any case
	Key          []byte    // of the record; a flow_id's bytes for those of a flow
	Since, Until time.Time // when it was given up
	Replayed     bool      // also those that were replayed
	Limit        int
}

func (f LetterFilter) where() (string, []any) {
	var terms []string
	var args []any
	add := func(term string, arg any) { terms, args = append(terms, term), append(args, arg) }
	if len(f.IDs) > 0 {
		add("has(?, id)", f.IDs)
	}
	if f.Stage != "" {
		add("stage = ?", f.Stage)
	}
	if f.Topic != "" {
		add("topic = ?", f.Topic)
	}
	if f.Error != "" {
		add("positionCaseInsensitiveUTF8(error, ?) > 0", f.Error)
	}
	if len(f.Key) > 0 {
		add("key = unhex(?)", hex.EncodeToString(f.Key))
	}
	if !f.Since.IsZero() {
		add("failed >= fromUnixTimestamp64Nano(?, 'UTC')", f.Since.UnixNano())
	}
	if !f.Until.IsZero() {
		add("failed < fromUnixTimestamp64Nano(?, 'UTC')", f.Until.UnixNano())
	}
	if !f.Replayed {
		terms = append(terms, "replayed = 0")
	}
	if len(terms) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(terms, " AND "), args
}

// Letters calls each with the dead letters that the filter means, the latest first.
func (r *Reader) Letters(ctx context.Context, f LetterFilter, each func(*Letter) error) error {
	where, args := f.where()
	query := "SELECT id, stage, error, topic, partition, offset, time, failed, key, value, value_bytes, headers, replayed FROM " +
		r.cfg.Database + ".dead_letters_latest" + where + " ORDER BY failed DESC, id"
	if f.Limit > 0 {
		query += fmt.Sprintf(" LIMIT %d", f.Limit)
	}
	rows, err := r.conn.Query(ctx, query, args...)
	if err != nil {
		return r.wrap("read dead letters", err)
	}
	defer rows.Close()
	for rows.Next() {
		var l Letter
		var partition int32
		var key, value string
		var headers []map[string]any
		if err := rows.Scan(&l.ID, &l.Stage, &l.Error, &l.Topic, &partition, &l.Offset, &l.Time, &l.Failed, &key, &value, &l.ValueBytes, &headers, &l.Replayed); err != nil {
			return r.wrap("read dead letters", err)
		}
		l.Partition, l.Key, l.Value = int(partition), []byte(key), []byte(value)
		if l.Replayed.Unix() == 0 {
			l.Replayed = time.Time{}
		}
		for _, h := range headers {
			l.Headers = append(l.Headers, wire.DeadLetterHeader{Key: fmt.Sprint(h["key"]), Value: []byte(fmt.Sprint(h["value"]))})
		}
		if err := each(&l); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return r.wrap("read dead letters", err)
	}
	return nil
}

// CountLetters returns how many dead letters the filter means, whatever its limit.
func (r *Reader) CountLetters(ctx context.Context, f LetterFilter) (n uint64, err error) {
	where, args := f.where()
	if err := r.conn.QueryRow(ctx, "SELECT count() FROM "+r.cfg.Database+".dead_letters_latest"+where, args...).Scan(&n); err != nil {
		return 0, r.wrap("count dead letters", err)
	}
	return n, nil
}

// MarkReplayed notes that the records of these letters are back on their topics.
func (r *Reader) MarkReplayed(ctx context.Context, ids []string, at time.Time) error {
	batch, err := r.conn.PrepareBatch(ctx, "INSERT INTO "+r.cfg.Database+".dead_letter_replays (id, replayed)")
	if err != nil {
		return r.wrap("note replays", err)
	}
	defer batch.Close()
	for _, id := range ids {
		if err := batch.Append(id, at); err != nil {
			return r.wrap("note replays", err)
		}
	}
	if err := batch.Send(); err != nil {
		return r.wrap("note replays", err)
	}
	return nil
}

// Report is one stored report of a flow and the way it came.
type Report struct {
	Part     uint32
	Final    bool
	Verdict  string
	Inserted time.Time
	Trace    []record.Hop
}

// Reports returns what is stored of a flow: the report that counts and, until parts
// are merged, those before it. The highest part comes first.
func (r *Reader) Reports(ctx context.Context, id flow.ID) ([]Report, error) {
	rows, err := r.conn.Query(ctx, "SELECT part, final, toString(verdict), ingested, trace.stage, arrayMap(t -> toUnixTimestamp64Micro(t), trace.time), trace.partition, trace.offset FROM "+
		r.cfg.Database+".flows WHERE flow_id = ? ORDER BY part DESC, ingested DESC", id.String())
	if err != nil {
		return nil, r.wrap("read flow "+id.String(), err)
	}
	defer rows.Close()
	var out []Report
	for rows.Next() {
		var x Report
		var stages []string
		var times, offsets []int64
		var partitions []int32
		if err := rows.Scan(&x.Part, &x.Final, &x.Verdict, &x.Inserted, &stages, &times, &partitions, &offsets); err != nil {
			return nil, r.wrap("read flow "+id.String(), err)
		}
		for i := range stages {
			x.Trace = append(x.Trace, record.Hop{Stage: stages[i], Micros: times[i], Partition: int(partitions[i]), Offset: offsets[i]})
		}
		out = append(out, x)
	}
	if err := rows.Err(); err != nil {
		return nil, r.wrap("read flow "+id.String(), err)
	}
	return out, nil
}
