; inherits: typescript
; Definitions of TypeScript with JSX: the same.
