package delta

import (
	"fmt"
	"slices"
	"strings"
)

// The features that need something of a reader, and which we have. A vacuum
// protocol check is a promise about vacuum alone.
var readableFeatures = []string{
	"columnMapping", "deletionVectors", "timestampNtz", "typeWidening", "typeWidening-preview", "v2Checkpoint", "vacuumProtocolCheck",
}

// The features we can write under. Those a table may carry without using them
// are checked for use by checkUnused.
var writableFeatures = []string{
	"appendOnly", "invariants", "checkConstraints", "changeDataFeed", "generatedColumns",
	"identityColumns", "columnMapping", "timestampNtz", "vacuumProtocolCheck",
}

// ProtocolVersions are the versions of tables that are read and written.
const ProtocolVersions = "reader 1 to 3, writer 1 to 7"

// Features are the table features (PROTOCOL.md, section Valid Feature Names in
// Table Features) that a table may list to be read, and to be written: some of
// the latter as long as nothing in the table uses them.
func Features() (read, written []string) {
	return slices.Clone(readableFeatures), slices.Clone(writableFeatures)
}

// checkReadable refuses a table whose rows we would get wrong.
func checkReadable(p Protocol, m Metadata) error {
	switch {
	case p.MinReaderVersion > 3:
		return fmt.Errorf("%w: the table needs reader version %d", ErrUnsupported, p.MinReaderVersion)
	case p.MinReaderVersion == 3:
		for _, feature := range p.ReaderFeatures {
			if !slices.Contains(readableFeatures, feature) {
				return fmt.Errorf("%w: the table needs reader feature %q", ErrUnsupported, feature)
			}
		}
	}
	switch mode := mappingOf(p, m); mode {
	case MappingNone, MappingName, MappingID:
	default:
		return fmt.Errorf("%w: the table needs reader feature \"columnMapping\" in mode %q", ErrUnsupported, mode)
	}
	if m.Format.Provider != "" && m.Format.Provider != "parquet" {
		return fmt.Errorf("%w: data files in format %q", ErrUnsupported, m.Format.Provider)
	}
	return nil
}

// checkWritable refuses a table on which our commit would break a promise.
func checkWritable(p Protocol, m Metadata, schema Schema) error {
	if p.MinWriterVersion > 7 {
		return fmt.Errorf("%w: the table needs writer version %d", ErrUnsupported, p.MinWriterVersion)
	}
	if p.MinWriterVersion == 7 {
		for _, feature := range p.WriterFeatures {
			if !slices.Contains(writableFeatures, feature) {
				return fmt.Errorf("%w: the table needs writer feature %q", ErrUnsupported, feature)
			}
		}
	}
	if mode := mappingOf(p, m); mode != MappingNone {
		return fmt.Errorf("%w: the table needs writer feature \"columnMapping\" (mode %s)", ErrUnsupported, mode)
	}
	return checkUnused(m, schema)
}

// checkUnused refuses tables that use what legacy writer versions 2 to 6 ask
// of a writer and we do not do.
func checkUnused(m Metadata, schema Schema) error {
	for key, value := range m.Configuration {
		switch {
		case hasPrefixFold(key, "delta.constraints."):
			return fmt.Errorf("%w: the table has the check constraint %s", ErrUnsupported, key)
		case strings.EqualFold(key, "delta.enableChangeDataFeed") && strings.EqualFold(value, "true"):
			return fmt.Errorf("%w: the table has a change data feed", ErrUnsupported)
		}
	}
	return checkColumnsUnused(schema.Fields)
}

func checkColumnsUnused(fields []Field) error {
	for _, f := range fields {
		for _, key := range []string{"delta.invariants", "delta.generationExpression", "delta.identity.start"} {
			if _, ok := f.Metadata[key]; ok {
				return fmt.Errorf("%w: column %q has %s", ErrUnsupported, f.Name, key)
			}
		}
		if nested, ok := f.Type.(Schema); ok {
			if err := checkColumnsUnused(nested.Fields); err != nil {
				return err
			}
		}
	}
	return nil
}

// protocolFor is the lowest protocol that can hold the schema: 1/2, unless a
// column's type is a table feature.
func protocolFor(schema Schema) Protocol {
	if usesType(schema, TimestampNTZ) {
		features := []string{"timestampNtz"}
		return Protocol{3, 7, features, append([]string{"appendOnly", "invariants"}, features...)}
	}
	return Protocol{MinReaderVersion: 1, MinWriterVersion: 2}
}

func usesType(t DataType, want Primitive) bool {
	switch t := t.(type) {
	case Primitive:
		return t == want
	case Schema:
		return slices.ContainsFunc(t.Fields, func(f Field) bool { return usesType(f.Type, want) })
	case Array:
		return usesType(t.Element, want)
	case Map:
		return usesType(t.Key, want) || usesType(t.Value, want)
	}
	return false
}
