; Top-level definitions of Clojure.
((source (list_lit . value: (sym_lit) @keyword . value: (sym_lit) @name) @definition.function)
  (#one-of? @keyword "defn" "defn-" "defmulti" "defmethod" "deftest"))
((source (list_lit . value: (sym_lit) @keyword . value: (sym_lit) @name) @definition.macro)
  (#one-of? @keyword "defmacro"))
((source (list_lit . value: (sym_lit) @keyword . value: (sym_lit) @name) @definition.variable)
  (#one-of? @keyword "def" "defonce"))
((source (list_lit . value: (sym_lit) @keyword . value: (sym_lit) @name) @definition.interface)
  (#one-of? @keyword "defprotocol" "definterface"))
((source (list_lit . value: (sym_lit) @keyword . value: (sym_lit) @name) @definition.class)
  (#one-of? @keyword "defrecord" "deftype"))
((source (list_lit . value: (sym_lit) @keyword . value: (sym_lit) @name) @definition.module)
  (#one-of? @keyword "ns"))
(comment) @above
