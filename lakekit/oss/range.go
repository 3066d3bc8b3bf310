package oss

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

func checkDelimiter(delimiter string) error {
	if delimiter != "" && delimiter != "/" {
		return fmt.Errorf("delimiter %q: only %q is supported", delimiter, "/")
	}
	return nil
}
