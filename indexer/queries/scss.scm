; Rules, mixins and functions of SCSS.
(rule_set (selectors) @name) @definition.section
(keyframes_statement (keyframes_name) @name) @definition.section
(mixin_statement name: (_) @name) @definition.function
(function_statement name: (_) @name) @definition.function
(media_statement . (_) @name) @definition.section
(comment) @above
