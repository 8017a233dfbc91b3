// The Philox 4x64-10 generator (Salmon et al. 2011), as NumPy runs it: frame `f` of seed `s` here is
// Generator(Philox(key=s, counter=[0, 0, 0, f])).random(n, float32), doubled and moved to [-1, 1).

const M0: u64 = 0xd2e7470ee14c6c93;
const M1: u64 = 0xca5a826395121157;
const W0: u64 = 0x9e3779b97f4a7c15;
const W1: u64 = 0xbb67ae8584caa73b;
const ROUNDS: i32 = 10;

export class Philox {
  private a: u64 = 0;
  private b: u64 = 0;
  private c: u64 = 0;
  private d: u64 = 0;

  constructor(private seed: i32) {}

  /** `n` values of a frame. */
  fill(out: StaticArray<f32>, n: i32, frame: i32): void {
    for (let i = 0; i < n; i += 8) {
      this.block(<u64>(i / 8 + 1), <u64>frame);
      store4(out, i, n, this.a, this.b);
      store4(out, i + 4, n, this.c, this.d);
    }
  }

  /** Four random words of the counter [number, 0, 0, frame]. */
  private block(number: u64, frame: u64): void {
    let k0 = <u64>this.seed;
    let k1: u64 = 0;
    let a = number;
    let b: u64 = 0;
    let c: u64 = 0;
    let d = frame;
    for (let round = 0; round < ROUNDS; round++) {
      const high0 = highProduct(M0, a);
      const low0 = M0 * a;
      const high1 = highProduct(M1, c);
      const low1 = M1 * c;
      a = high1 ^ b ^ k0;
      b = low1;
      c = high0 ^ d ^ k1;
      d = low0;
      k0 += W0;
      k1 += W1;
    }
    this.a = a;
    this.b = b;
    this.c = c;
    this.d = d;
  }
}

/** Upper half of a product of 64 bits by 64. */
function highProduct(x: u64, y: u64): u64 {
  const x0 = x & 0xffffffff;
  const x1 = x >> 32;
  const y0 = y & 0xffffffff;
  const y1 = y >> 32;
  const middle = x1 * y0 + ((x0 * y0) >> 32);
  const other = x0 * y1 + (middle & 0xffffffff);
  return x1 * y1 + (middle >> 32) + (other >> 32);
}

function store4(out: StaticArray<f32>, at: i32, n: i32, x: u64, y: u64): void {
  if (at < n) out[at] = uniform(<u32>x);
  if (at + 1 < n) out[at + 1] = uniform(<u32>(x >> 32));
  if (at + 2 < n) out[at + 2] = uniform(<u32>y);
  if (at + 3 < n) out[at + 3] = uniform(<u32>(y >> 32));
}

function uniform(bits: u32): f32 {
  return <f32>(bits >> 8) * <f32>1.1920928955078125e-7 - <f32>1;
}
