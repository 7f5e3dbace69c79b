import Pages
import Platform

/// One huge page, or as many bytes of small ones where the system has none. What it holds at first is left over from
/// others; it is kept for later ones when nobody refers to it any more (pages.h).
public final class HugePage {
  public let start: UnsafeMutableRawPointer
  private var front = 0
  private var back = HugePage.size

  public static let size = Int(EFF_PAGE_SIZE)

  /// `count` bytes rounded up to whole pages.
  static func whole(_ count: Int) -> Int { (count + size - 1) / size * size }

  private init(_ start: UnsafeMutableRawPointer) { self.start = start }

  deinit { if eff_page_keep(start) == 0 { eff_unmap(start, HugePage.size) } }

  /// One that was kept, or a new one; nil where there is no memory.
  public static func make() -> HugePage? {
    (eff_page_take() ?? eff_map_zeroed(size, size)).map { HugePage($0) }
  }

  /// The next `size` bytes from the front, at a multiple of 64; nil where there are not so many.
  public func takeFront(_ size: Int) -> UnsafeMutableRawPointer? {
    guard size >= 0, size <= back - front else { return nil }
    let place = start + front
    front = min((front + size + 63) & ~63, back)
    return place
  }

  /// The same from the back.
  public func takeBack(_ size: Int) -> UnsafeMutableRawPointer? {
    guard size >= 0, size <= back - front else { return nil }
    let place = (back - size) & ~63
    guard place >= front else { return nil }
    back = place
    return start + place
  }
}
