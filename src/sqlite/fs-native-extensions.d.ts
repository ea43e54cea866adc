/** The part of the package that Skein uses; it ships no types. */
declare module 'fs-native-extensions' {
  /** `F_OFD_SETLK`; false when another open file description or process holds any of the bytes. */
  export function tryLock(fileDescriptor: number, offset: number, length: number): boolean;
  export function unlock(fileDescriptor: number, offset: number, length: number): void;
}
