package delta

import "fmt"

// checkConflicts decides whether c may follow commits it was planned without:
//
//	c \ winner        append    compaction    delete      metadata, protocol
//	blind append      follows   follows       follows     ErrConflict
//	append that read  conflict  follows       conflict    ErrConflict
//	compaction        follows   if no removed path is shared, else ErrConflict
//	restore           conflict  as compaction conflict    ErrConflict
//
// ErrConflict for a restore when a vacuum has begun, which may delete its files,
// and ErrTxnConflict when a winner wrote for the application of c.
func (c *Commit) checkConflicts(winners []*commitFile) error {
	removed := make(map[string]bool, len(c.Removes))
	for _, remove := range c.Removes {
		removed[remove.Path] = true
	}
	readsRows := !c.BlindAppend && c.changesData()
	for _, winner := range winners {
		version := winner.file.version
		for _, txn := range winner.txns {
			if c.Txn != nil && txn.AppID == c.Txn.AppID {
				return fmt.Errorf("%w: version %d wrote %d for %s, this commit was to write %d: only one run of a stream may write a table, stop the other",
					ErrTxnConflict, version, txn.Version, txn.AppID, c.Txn.Version)
			}
		}
		if winner.protocol != nil {
			return fmt.Errorf("%w: version %d changed the protocol", ErrConflict, version)
		}
		if c.Operation == "RESTORE" && winner.info.Operation == "VACUUM START" {
			return fmt.Errorf("%w: version %d has begun a vacuum", ErrConflict, version)
		}
		if winner.metadata != nil {
			return fmt.Errorf("%w: version %d changed the schema or the properties", ErrConflict, version)
		}
		for _, remove := range winner.removes {
			if removed[remove.Path] {
				return fmt.Errorf("%w: version %d (%s) removed %s too", ErrConflict, version, winner.info.Operation, remove.Path)
			}
			if readsRows && remove.DataChange {
				return fmt.Errorf("%w: version %d (%s) removed rows that this commit may have read", ErrConflict, version, winner.info.Operation)
			}
		}
		for _, add := range winner.adds {
			if readsRows && add.DataChange {
				return fmt.Errorf("%w: version %d (%s) added rows that this commit has not read", ErrConflict, version, winner.info.Operation)
			}
		}
	}
	return nil
}

// checkLive refuses to remove files that are not there, and to write a batch
// that the table already has.
func (c *Commit) checkLive(s *Snapshot) error {
	for _, remove := range c.Removes {
		if _, live := s.file(remove.Path); !live {
			return fmt.Errorf("%w: %s is no file of version %d", ErrConflict, remove.Path, s.version)
		}
	}
	if c.Txn == nil {
		return nil
	}
	if written, ok := s.Txn(c.Txn.AppID); ok && written.Version >= c.Txn.Version {
		return fmt.Errorf("%w: version %d of the table has %d for %s, this commit was to write %d",
			ErrTxnConflict, s.version, written.Version, c.Txn.AppID, c.Txn.Version)
	}
	return nil
}
