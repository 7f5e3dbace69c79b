// Elementary functions on vectors of floats, within 1 to 3 ulp; NaN stays NaN. Included inside a level's namespace.
// A lane's result depends on that lane alone, so a row gives the same bits wherever it stands.

// e^r - 1 = r + r^2 q(r) on |r| <= ln(2)/2, relative error 1.4e-8; n = the power of two
EFF_INLINE vf vexp_reduced(vf x, vi *n, vf *r) {
  vf magic = vset(12582912.0f), t = vfma(x, vset(1.44269504f), magic);
  *n = (vi)t - vseti(0x4B400000);
  t = t - magic;
  vf a = vfma(t, vset(-0.693359375f), x);
  a = vfma(t, vset(2.12194440e-4f), a);
  vf q = vfma(vset(0.00138823933f), a, vset(0.00836718082f));
  q = vfma(q, a, vset(0.041667223f));
  q = vfma(q, a, vset(0.16666539f));
  q = vfma(q, a, vset(0.49999997f));
  *r = vfma(a * a, q, a);
  return *r;
}
EFF_INLINE vf vpow2(vi n) { return (vf)((n + vseti(127)) << 23); }

EFF_INLINE vf vexp(vf x) {
  vi n; vf r;
  vexp_reduced(vmax(vset(-104.0f), vmin(vset(89.0f), x)), &n, &r);
  vi half = n >> 1;  // two steps, so that the ends of the range are reached
  return (r + vset(1)) * vpow2(half) * vpow2(n - half);
}
// |x| <= 87 and NaN
EFF_INLINE vf vexpm1_bounded(vf x) {
  vi n; vf r;
  vexp_reduced(x, &n, &r);
  vf s = vpow2(n);
  return vfma(s, r, s - vset(1));
}
EFF_INLINE vf vexpm1_negative(vf x) { return vexpm1_bounded(vmax(vset(-20.0f), x)); }  // x <= 0

EFF_INLINE vf vtanh(vf x) {
  vf a = vabs(x), e = vexpm1_bounded(vmin(vset(20.0f), a + a));
  return vsigned(e / (e + vset(2)), x);
}
EFF_INLINE vf vsigmoid(vf x) { return vset(1) / (vset(1) + vexp(-x)); }

// log(1 + f) = f - f^2/2 + f^3 q(f) on [sqrt(1/2) - 1, sqrt(2) - 1], plus e log(2)
EFF_INLINE vf vlog_reduced(vf f, vf e) {
  vf q = vfma(vset(-0.0763442963f), f, vset(0.127615497f));
  q = vfma(q, f, vset(-0.131601945f));
  q = vfma(q, f, vset(0.142017618f));
  q = vfma(q, f, vset(-0.166233569f));
  q = vfma(q, f, vset(0.200012267f));
  q = vfma(q, f, vset(-0.250008225f));
  q = vfma(q, f, vset(0.333333313f));
  vf t = (f * f) * vfma(f, q, vset(-0.5f));
  t = vfma(e, vset(-2.12194440e-4f), t);
  return vfma(e, vset(0.693359375f), f + t);
}
EFF_INLINE vf vlog(vf x) {
  vi small = x < vset(1.17549435e-38f);
  vi b = (vi)vsel(small, x * vset(8388608.0f), x) - vseti(0x3f3504f3);
  vf e = __builtin_convertvector(b >> 23, vf) - vsel(small, vset(23), vsplat0());
  vf m = (vf)((b & vseti(0x7fffff)) + vseti(0x3f3504f3));
  vf y = vlog_reduced(m - vset(1), e), inf = vset(__builtin_inff());
  y = vsel(x == inf, inf, y);
  y = vsel(x == vsplat0(), -inf, y);
  return vsel(x >= vsplat0(), y, vset(__builtin_nanf("")));
}
// log(1 + u), 0 <= u <= 1
EFF_INLINE vf vlog1p_unit(vf u) {
  vi high = u > vset(0.41421356f);
  return vlog_reduced(vsel(high, (u - vset(1)) * vset(0.5f), u), vsel(high, vset(1), vsplat0()));
}
EFF_INLINE vf vsoftplus(vf x) { return vmax(vsplat0(), x) + vlog1p_unit(vexp(-vabs(x))); }

EFF_INLINE vf vsilu(vf x, float alpha) {
  vf s = vsigmoid(x * vset(alpha));
  return vsel(s == vsplat0(), vsplat0(), x * s);
}
// x tanh(log(1 + e^x)) with tanh(log(z)) = (z^2 - 1) / (z^2 + 1)
EFF_INLINE vf vmish(vf x) {
  vf e = vexp(vmin(vset(20.0f), x)), t = e * (e + vset(2)), y = x * (t / (t + vset(2)));
  return vsel(t == vsplat0(), vsplat0(), y);
}

EFF_INLINE vf verf(vf x) {
  vf a = vabs(x), s = x * x;
  vf p = vset(-5.96761703e-4f);
  p = vfma(p, s, vset(4.99119423e-3f));
  p = vfma(p, s, vset(-2.67681349e-2f));
  p = vfma(p, s, vset(1.12819925e-1f));
  p = vfma(p, s, vset(-3.76125336e-1f));
  p = vfma(p, s, vset(1.28379166e-1f));
  p = vfma(p, x, x);
  vf c = vmin(vset(4.0f), a), c2 = c * c;
  vf r = vfma(vset(-1.72853470e-5f), c, vset(3.83197126e-4f));
  vf u = vfma(vset(-3.88396438e-3f), c, vset(2.42546219e-2f));
  r = vfma(r, c2, u);
  r = vfma(r, c, vset(-1.06777877e-1f));
  r = vfma(r, c, vset(-6.34846687e-1f));
  r = vfma(r, c, vset(-1.28717512e-1f));
  r = vfma(r, c, -c);
  vi n; vf e;
  vexp_reduced(r, &n, &e);
  vf k = vpow2(n);
  r = vset(1) - vfma(k, e, k);
  return vsel(a > vset(0.927734375f), vsigned(r, x), p);
}
EFF_INLINE vf vgelu(vf x) {
  vf t = vset(1) + verf(x * vset(0.70710678f));
  return vsel(t == vsplat0(), vsplat0(), vset(0.5f) * x * t);
}
EFF_INLINE vf vgelu_tanh(vf x) {
  // 0.5 (1 + tanh(z)) = sigmoid(2 z), which keeps its relative accuracy for negative x
  vf z = x * vfma(x * x, vset(2 * 0.797884561f * 0.044715f), vset(2 * 0.797884561f));
  vf s = vsigmoid(z);
  return vsel(s == vsplat0(), vsplat0(), x * s);
}

// sin (odd = 0) and cos (odd = 1) by quadrants, |x| <= 8192; larger lanes are the caller's
EFF_INLINE vf vsincos(vf x, int32_t odd) {
  vf magic = vset(12582912.0f), t = vfma(x, vset(0.636619772f), magic);
  vi j = (vi)t + vseti(odd);
  t = t - magic;
  vf r = vfma(t, vset(-1.5703125f), x);
  r = vfma(t, vset(-4.837512969970703e-4f), r);
  r = vfma(t, vset(-7.54978995489188e-8f), r);
  vf z = r * r;
  vf s = vfma(vfma(vfma(vset(-0.000195169763f), z, vset(0.00833217613f)), z, vset(-0.166666552f)), z * r, r);
  vf c = vfma(vfma(vset(2.44380899e-05f), z, vset(-0.00138873642f)), z, vset(0.0416666456f));
  c = vfma(c, z * z, vfma(vset(-0.5f), z, vset(1)));
  vf y = vsel((j & vseti(1)) != vseti(0), c, s);
  return (vf)((vi)y ^ ((j & vseti(2)) << 30));
}
