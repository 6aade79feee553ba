; Rules of CSS.
(rule_set (selectors) @name) @definition.section
(keyframes_statement (keyframes_name) @name) @definition.section
(media_statement . (_) @name) @definition.section
(comment) @above
