// Why a request to the API server has no answer. What the server did answer, whatever its status, is never an error.

/**
 * Why there is no answer. `Unreachable`: refused, cut, not resolved, certificate not accepted; `Timeout`: the deadline passed;
 * `BadAnswer`: not JSON; `TooLarge`: more than `maxAnswerBytes`; `Credentials`: our own files cannot be read; `Closed`: we ended it.
 */
export type ApiErrorCode = 'Unreachable' | 'Timeout' | 'BadAnswer' | 'TooLarge' | 'Credentials' | 'Closed';

export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: ApiErrorCode;

  constructor(code: ApiErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
