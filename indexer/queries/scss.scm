; inherits: css
; Mixins and functions of SCSS.
(mixin_statement name: (_) @name) @definition.function
(function_statement name: (_) @name) @definition.function
