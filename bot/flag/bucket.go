package flag

import (
	"encoding/binary"
	"math/bits"
)

// Bucket gives where among total equal parts, counted from 0, a flag puts
// somebody, exactly as flagd's "fractional" does for a flag without a seed of its
// own: MurmurHash3 (x86, 32 bits, seed 0) over the flag's key followed by the
// targeting key, spread over the parts by multiplication. It never changes for the
// same two keys, so who is in at 5 % is in at 25 % too, and flagd, given the
// export, puts everybody where the bot does.
func Bucket(flag, targetingKey string, total uint32) uint32 {
	return uint32(uint64(hash(flag, targetingKey)) * uint64(total) >> 32)
}

// hash is MurmurHash3_x86_32 with seed 0 of both texts together, as Austin Appleby
// put it into the public domain.
func hash(a, b string) uint32 {
	var room [128]byte // keys are short, and one evaluation allocates nothing
	data := append(append(room[:0], a...), b...)
	const c1, c2 = 0xcc9e2d51, 0x1b873593
	length := uint32(len(data))
	var h uint32
	for ; len(data) >= 4; data = data[4:] {
		k := binary.LittleEndian.Uint32(data) * c1
		h ^= bits.RotateLeft32(k, 15) * c2
		h = bits.RotateLeft32(h, 13)*5 + 0xe6546b64
	}
	var k uint32
	for i := len(data) - 1; i >= 0; i-- {
		k = k<<8 | uint32(data[i])
	}
	h ^= bits.RotateLeft32(k*c1, 15) * c2
	h ^= length
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}
