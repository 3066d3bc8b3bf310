package blob

import "fmt"

// rangeLength is the number of bytes a GetRange yields, by the rules of Bucket.
func rangeLength(offset, length, size int64) (int64, error) {
	switch {
	case offset < 0:
		return 0, fmt.Errorf("range: offset %d is negative", offset)
	case length == 0:
		return 0, nil
	case offset >= size:
		return 0, fmt.Errorf("range: offset %d is beyond the object's %d bytes", offset, size)
	case length < 0 || length > size-offset:
		return size - offset, nil
	}
	return length, nil
}

// Check tells why a bucket cannot list by the options.
func (o ListOptions) Check() error {
	if o.Delimiter != "" && o.Delimiter != "/" {
		return fmt.Errorf("delimiter %q: only %q is supported", o.Delimiter, "/")
	}
	return nil
}
